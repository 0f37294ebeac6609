import type { Endpoint } from "../endpoint/endpoint.js";
import type { SharedLoad } from "../endpoint/shared-load.js";
import { Xorshift32 } from "../runtime/random.js";
import type { Balancer, PickContext, Picker } from "./balancer.js";
import { burdensOf, DRAWS, drawable, placesOf, untried, wasTried } from "./members.js";
import { Newcomers } from "./newcomers.js";
import { WeightedDraw } from "./weighted-draw.js";

/** How often it is looked whether anybody fell silent, in milliseconds. */
const SWEEP_MS = 100;
/** Among so few, all are compared; among more, three that were drawn. */
const COMPARE_ALL = 3;

/**
 * Draws three endpoints and takes the one where a call should be over first: latency × (in flight + 1) ÷ success rate⁴.
 *
 * The latency rises by a third of the way with each slower answer and falls within seconds (τ = 10 s, as Finagle,
 * linkerd and Envoy); a failure never lowers it; a silence longer than it takes its place. Who was never measured gets
 * one call at a time; who joined in the last 30 s gets a trial now and then, so that a slow warm-up ends.
 *
 * Choose it whenever calls are reported back, which `fetch`, `request` and the dispatcher do: it has the shortest tail
 * and drops instances that hang or fail fast. With weights, draws and in flight are in proportion to them.
 *
 * @see Finagle's PeakEwma, whose law this is with other guards
 */
export function adaptive(): Balancer {
  return { name: "adaptive", usesKey: false, create: (seed) => new AdaptivePicker(seed) };
}

class AdaptivePicker implements Picker {
  readonly #random: Xorshift32;
  readonly #draw: WeightedDraw;
  readonly #newcomers: Newcomers;
  #members: readonly Endpoint[] = [];
  #places: Uint32Array = new Uint32Array(0);
  /** By how much a request in flight counts at each member: less where the weight is more. */
  #burdens: Float64Array = new Float64Array(0);
  #shared: SharedLoad | undefined = undefined;
  #weighted = false;
  #newcomersAround = false;
  #sweepAt = 0.5;

  constructor(seed: number) {
    this.#random = new Xorshift32(seed);
    this.#draw = new WeightedDraw(this.#random);
    this.#newcomers = new Newcomers(this.#random);
  }

  update(_all: readonly Endpoint[], usable: readonly Endpoint[]): void {
    const members = drawable(usable);
    this.#members = members;
    this.#places = placesOf(members);
    this.#burdens = burdensOf(members);
    this.#draw.update(members);
    this.#shared = members[0]?.load.shared;
    this.#weighted = this.#draw.weighted;
    this.#newcomersAround = this.#newcomers.update(members);
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
    if (shared === undefined) return undefined;
    if (shared.now >= this.#sweepAt) this.#sweep(shared);
    if (this.#newcomersAround) {
      const newcomer = this.#newcomers.onTrial(shared.now);
      if (newcomer !== undefined) return newcomer;
    }
    return this.#members[this.#weighted ? this.#bestByWeight(shared) : this.#best(shared.costs)];
  }

  #best(costs: Float64Array): number {
    const random = this.#random;
    const places = this.#places;
    const count = places.length;
    if (count <= COMPARE_ALL) return this.#bestOfAll(costs);
    const first = random.below(count);
    let second = random.below(count - 1);
    if (second >= first) second++;
    const third = random.below(count);
    const a = costs[places[first]!]!;
    const b = costs[places[second]!]!;
    const c = costs[places[third]!]!;
    if (a <= b) return a <= c ? first : third;
    return b <= c ? second : third;
  }

  #bestOfAll(costs: Float64Array): number {
    const places = this.#places;
    const start = this.#random.below(places.length);
    let best = start;
    for (let step = 1; step < places.length; step++) {
      const index = (start + step) % places.length;
      if (costs[places[index]!]! < costs[places[best]!]!) best = index;
    }
    return best;
  }

  #bestByWeight(shared: SharedLoad): number {
    let best = this.#draw.next();
    for (let draw = 1; draw < 3; draw++) {
      const other = this.#draw.next();
      if (this.#weightedCost(other, shared) < this.#weightedCost(best, shared)) best = other;
    }
    return best;
  }

  #weightedCost(index: number, { scores, inFlights }: SharedLoad): number {
    const place = this.#places[index]!;
    return scores[place]! * (inFlights[place]! * this.#burdens[index]! + 1);
  }

  /** Some microseconds for 1,000 members, ten times a second. */
  #sweep(shared: SharedLoad): void {
    const { now } = shared;
    for (const { load } of this.#members) load.checkSilence(now);
    this.#newcomersAround = this.#newcomers.sweep(now);
    this.#sweepAt = now + SWEEP_MS;
  }
}
