import type { Endpoint } from "../endpoint/endpoint.js";
import type { Load } from "../endpoint/load.js";
import type { SharedLoad } from "../endpoint/shared-load.js";
import { Xorshift32 } from "../runtime/random.js";
import type { Balancer, PickContext, Picker } from "./balancer.js";
import { DRAWS, drawable, untried, wasTried } from "./members.js";
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
  return { name: "adaptive", create: (seed) => new AdaptivePicker(seed) };
}

class AdaptivePicker implements Picker {
  readonly #random: Xorshift32;
  readonly #draw: WeightedDraw;
  readonly #newcomers: Newcomers;
  #members: readonly Endpoint[] = [];
  #loads: readonly Load[] = [];
  /** By how much a request in flight counts at each member: less where the weight is more. */
  #burden = new Float64Array(0);
  #shared: SharedLoad | undefined = undefined;
  #sweepAt = 0.5;

  constructor(seed: number) {
    this.#random = new Xorshift32(seed);
    this.#draw = new WeightedDraw(this.#random);
    this.#newcomers = new Newcomers(this.#random);
  }

  update(_all: readonly Endpoint[], usable: readonly Endpoint[]): void {
    const members = drawable(usable);
    const total = members.reduce((sum, { weight }) => sum + weight, 0);
    this.#members = members;
    this.#loads = members.map(({ load }) => load);
    this.#burden = Float64Array.from(members, ({ weight }) => (total > 0 ? total / members.length / weight : 1));
    this.#draw.update(members);
    this.#shared = members[0]?.load.shared;
    this.#newcomers.update(members);
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
    if (this.#newcomers.any) {
      const newcomer = this.#newcomers.onTrial(shared.now);
      if (newcomer !== undefined) return newcomer;
    }
    return this.#members[this.#draw.weighted ? this.#bestByWeight() : this.#best()];
  }

  #best(): number {
    const random = this.#random;
    const count = this.#loads.length;
    if (count <= COMPARE_ALL) return this.#bestOfAll();
    const first = random.below(count);
    let second = random.below(count - 1);
    if (second >= first) second++;
    return this.#better(this.#better(first, second), random.below(count));
  }

  #bestOfAll(): number {
    const count = this.#loads.length;
    let best = this.#random.below(count);
    for (let step = 1, index = best; step < count; step++) {
      index = index + 1 < count ? index + 1 : 0;
      best = this.#better(best, index);
    }
    return best;
  }

  #bestByWeight(): number {
    const draw = this.#draw;
    return this.#better(this.#better(draw.next(), draw.next()), draw.next());
  }

  /** The first of two, unless a call costs less at the second. */
  #better(a: number, b: number): number {
    return this.#cost(b) < this.#cost(a) ? b : a;
  }

  #cost(index: number): number {
    const load = this.#loads[index]!;
    return load.score * (load.inFlight * this.#burden[index]! + 1);
  }

  /** Some microseconds for 1,000 members, ten times a second. */
  #sweep(shared: SharedLoad): void {
    const { now } = shared;
    for (const load of this.#loads) load.checkSilence(now);
    this.#newcomers.sweep(now);
    this.#sweepAt = now + SWEEP_MS;
  }
}
