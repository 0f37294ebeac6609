import type { Endpoint } from "../endpoint/endpoint.js";
import { Xorshift32 } from "../runtime/random.js";
import type { Balancer, PickContext, Picker } from "./balancer.js";
import { DRAWS, drawable, untried, wasTried } from "./members.js";
import { WeightedDraw } from "./weighted-draw.js";

/**
 * Anybody, in proportion to weight. Needs no feedback and no key.
 *
 * Choose it over `roundRobin()` when many short-lived clients make a call or two each, so that there is no round to go.
 * Otherwise a round is more even. Weight 0 gets no calls while another has more.
 */
export function random(): Balancer {
  return { name: "random", usesKey: false, create: (seed) => new RandomPicker(seed) };
}

class RandomPicker implements Picker {
  readonly #random: Xorshift32;
  readonly #draw: WeightedDraw;
  #members: readonly Endpoint[] = [];

  constructor(seed: number) {
    this.#random = new Xorshift32(seed);
    this.#draw = new WeightedDraw(this.#random);
  }

  update(_all: readonly Endpoint[], usable: readonly Endpoint[]): void {
    this.#members = drawable(usable);
    this.#draw.update(this.#members);
  }

  pick(context: PickContext | undefined): Endpoint | undefined {
    for (let draw = 0; draw < DRAWS; draw++) {
      const endpoint = this.#members[this.#draw.next()];
      if (!wasTried(context, endpoint)) return endpoint;
    }
    return untried(this.#members, context, this.#random);
  }
}
