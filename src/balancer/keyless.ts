import type { Endpoint } from "../endpoint/endpoint.js";
import { Xorshift32 } from "../runtime/random.js";
import type { PickContext } from "./balancer.js";
import { DRAWS, untried, wasTried } from "./members.js";
import { WeightedDraw } from "./weighted-draw.js";

/** What consistent hashing does with calls that bring no key: anybody, by weight, after telling the process once. */
export class Keyless {
  readonly #random: Xorshift32;
  readonly #draw: WeightedDraw;
  #members: readonly Endpoint[] = [];
  #told = false;

  constructor(seed: number) {
    this.#random = new Xorshift32(seed);
    this.#draw = new WeightedDraw(this.#random);
  }

  update(members: readonly Endpoint[]): void {
    this.#members = members;
    this.#draw.update(members);
  }

  pick(context: PickContext | undefined): Endpoint | undefined {
    if (!this.#told) this.#tell();
    for (let draw = 0; draw < DRAWS; draw++) {
      const endpoint = this.#members[this.#draw.next()];
      if (!wasTried(context, endpoint)) return endpoint;
    }
    return this.untried(context);
  }

  untried(context: PickContext | undefined): Endpoint | undefined {
    return untried(this.#members, context, this.#random);
  }

  #tell(): void {
    const service = this.#members[0]?.instance.service;
    if (service === undefined) return;
    this.#told = true;
    process.emitWarning(
      `Calls to ${service} bring no key to hash: each goes to a random instance. Give them { key }, or choose another balancer.`,
      { type: "DiscoveryWarning", code: "MCP_DISCOVERY_NO_KEY" },
    );
  }
}
