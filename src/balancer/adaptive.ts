import type { Endpoint } from "../endpoint/endpoint.js";
import { noteSilence } from "../endpoint/report.js";
import { Book, bookOf, inFlightAt, rankAt, type SharedLoad } from "../endpoint/shared-load.js";
import { oneOf } from "../model/fields.js";
import { knownKeys } from "../runtime/options.js";
import { Xorshift32 } from "../runtime/random.js";
import type { Balancer, PickContext, Picker } from "./balancer.js";
import { burdensOf, DRAWS, drawable, placesOf, untried, wasTried } from "./members.js";
import { Newcomers } from "./newcomers.js";
import { strainOf } from "./strain.js";
import { WeightedDraw } from "./weighted-draw.js";

/** How often it is looked whether anybody fell silent, in milliseconds. */
const SWEEP_MS = 100;
/** Among so few, all are compared; among more, three that were drawn. */
const COMPARE_ALL = 3;

/** What `adaptive()` goes by beside what it measures. */
export interface AdaptiveOptions {
  /**
   * Whether those are heard that report their own load with their answers, as `reportLoad()` makes a server do: a full
   * one then costs up to twice as much. It helps where each client makes few calls and others call the same servers, by
   * a few percent; where clients make most of the calls themselves, they know without being told.
   *
   * @default false
   */
  readonly reportedLoad?: boolean | undefined;
}

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
 * @throws {DiscoveryError} `INVALID_OPTION`, naming the option
 */
export function adaptive(options: AdaptiveOptions = {}): Balancer {
  knownKeys("adaptive", options, ["reportedLoad"]);
  const reportedLoad = options.reportedLoad ?? false;
  oneOf("adaptive.reportedLoad", String(reportedLoad), ["true", "false"]);
  return { name: "adaptive", usesKey: false, create: (seed) => new AdaptivePicker(seed, reportedLoad) };
}

class AdaptivePicker implements Picker {
  readonly #random: Xorshift32;
  readonly #draw: WeightedDraw;
  readonly #newcomers: Newcomers;
  #members: readonly Endpoint[] = [];
  #places: Uint32Array = new Uint32Array(0);
  /** By index, where its rank is in `SharedLoad.standings`. */
  #ranksAt: Uint32Array = new Uint32Array(0);
  /** By how much a request in flight counts at each member: less where the weight is more. */
  #burdens: Float64Array = new Float64Array(0);
  #shared: SharedLoad | undefined = undefined;
  #weighted = false;
  readonly #reads: boolean;
  #newcomersAround = false;
  #sweepAt = 0.5;

  constructor(seed: number, reads: boolean) {
    this.#reads = reads;
    this.#random = new Xorshift32(seed);
    this.#draw = new WeightedDraw(this.#random);
    this.#newcomers = new Newcomers(this.#random);
  }

  update(_all: readonly Endpoint[], usable: readonly Endpoint[]): void {
    const members = drawable(usable);
    this.#members = members;
    this.#places = placesOf(members);
    this.#ranksAt = this.#places.map(rankAt);
    this.#burdens = burdensOf(members);
    this.#draw.update(members);
    this.#shared = members[0]?.load.shared;
    this.#weighted = this.#draw.weighted || this.#reads;
    if (this.#reads) this.#shared?.wantReports(true);
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
    return this.#members[this.#weighted ? this.#bestByWeight(shared) : this.#best(shared.standings)];
  }

  /** Without a branch that depends on what was drawn: `(b - a) >> 31` has all bits set if b is less, and none if not. */
  #best(ranks: Int32Array): number {
    const random = this.#random;
    const ranksAt = this.#ranksAt;
    const count = ranksAt.length;
    if (count <= COMPARE_ALL) return this.#bestOfAll(ranks);
    const first = random.below(count);
    const other = random.below(count - 1);
    const second = other + 1 + ((other - first) >> 31); // never the first again
    const third = random.below(count);
    const a = ranks[ranksAt[first]!]!;
    const b = ranks[ranksAt[second]!]!;
    const c = ranks[ranksAt[third]!]!;
    const isSecond = (b - a) >> 31;
    const better = first ^ ((first ^ second) & isSecond);
    const rank = a ^ ((a ^ b) & isSecond);
    return better ^ ((better ^ third) & ((c - rank) >> 31));
  }

  #bestOfAll(ranks: Int32Array): number {
    const ranksAt = this.#ranksAt;
    const start = this.#random.below(ranksAt.length);
    let best = start;
    for (let step = 1; step < ranksAt.length; step++) {
      const index = (start + step) % ranksAt.length;
      if (ranks[ranksAt[index]!]! < ranks[ranksAt[best]!]!) best = index;
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

  #weightedCost(index: number, { books, standings, reports, now }: SharedLoad): number {
    const place = this.#places[index]!;
    const inFlight = standings[inFlightAt(place)]!;
    const cost = books[bookOf(place) | Book.SCORE]! * (inFlight * this.#burdens[index]! + 1);
    return reports === undefined || !this.#reads ? cost : cost * (1 + strainOf(reports, place, now));
  }

  /** Some microseconds for 1,000 members, ten times a second. */
  #sweep(shared: SharedLoad): void {
    const { now } = shared;
    for (const place of this.#places) noteSilence(shared, place, now);
    this.#newcomersAround = this.#newcomers.sweep(now);
    this.#sweepAt = now + SWEEP_MS;
  }
}
