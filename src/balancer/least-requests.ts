import type { Endpoint } from "../endpoint/endpoint.js";
import { inFlightAt, type SharedLoad } from "../endpoint/shared-load.js";
import { Xorshift32 } from "../runtime/random.js";
import type { Balancer, PickContext, Picker } from "./balancer.js";
import { burdensOf, DRAWS, drawable, placesOf, untried, wasTried } from "./members.js";
import { WeightedDraw } from "./weighted-draw.js";

/**
 * Draws two endpoints and takes the one with fewer requests in flight for its weight.
 *
 * Two, not all: comparing all would send every client to the same best endpoint at once. With nothing in flight the
 * first draw decides, so that shares are those of the weights; weight 0 gets no calls while another has more.
 *
 * Choose it where requests differ much in how long they take and instances do not. It needs calls to be released when
 * they end, but no latencies. An instance that fails fast looks idle to it: then prefer `adaptive()`.
 *
 * @see Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001
 */
export function leastRequests(): Balancer {
  return { name: "least-requests", usesKey: false, create: (seed) => new LeastRequestsPicker(seed) };
}

class LeastRequestsPicker implements Picker {
  readonly #random: Xorshift32;
  readonly #draw: WeightedDraw;
  #members: readonly Endpoint[] = [];
  #shared: SharedLoad | undefined = undefined;
  #inFlightAts: Uint32Array = new Uint32Array(0);
  #burdens: Float64Array = new Float64Array(0);

  constructor(seed: number) {
    this.#random = new Xorshift32(seed);
    this.#draw = new WeightedDraw(this.#random);
  }

  update(_all: readonly Endpoint[], usable: readonly Endpoint[]): void {
    this.#members = drawable(usable);
    this.#shared = this.#members[0]?.load.shared;
    this.#inFlightAts = placesOf(this.#members).map(inFlightAt);
    this.#burdens = burdensOf(this.#members);
    this.#draw.update(this.#members);
  }

  pick(context: PickContext | undefined): Endpoint | undefined {
    for (let draw = 0; draw < DRAWS; draw++) {
      const endpoint = this.#choose();
      if (!wasTried(context, endpoint)) return endpoint;
    }
    return untried(this.#members, context, this.#random);
  }

  #choose(): Endpoint | undefined {
    const shared = this.#shared;
    const members = this.#members;
    const count = members.length;
    if (count < 2 || shared === undefined) return members[0];
    const first = this.#draw.next();
    const second = this.#otherThan(first, count);
    const { standings } = shared;
    const atFirst = standings[this.#inFlightAts[first]!]!;
    const atSecond = standings[this.#inFlightAts[second]!]!;
    if (!this.#draw.weighted) return members[atSecond < atFirst ? second : first];
    return members[atSecond * this.#burdens[second]! < atFirst * this.#burdens[first]! ? second : first];
  }

  /** A second one, never the same: drawn by weight, but a heavy one drawn twice gives way to anybody. */
  #otherThan(first: number, count: number): number {
    if (this.#draw.weighted) {
      const second = this.#draw.next();
      if (second !== first) return second;
    }
    const other = this.#random.below(count - 1);
    return other < first ? other : other + 1;
  }
}
