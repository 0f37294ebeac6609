import type { Endpoint } from "../endpoint/endpoint.js";
import { inFlightAt, type SharedLoad } from "../endpoint/shared-load.js";
import { oneOf } from "../model/fields.js";
import { knownKeys } from "../runtime/options.js";
import { Xorshift32 } from "../runtime/random.js";
import { AliasTable } from "./alias-table.js";
import type { Balancer, PickContext, Picker } from "./balancer.js";
import { LatencyLaw } from "./latency-law.js";
import { burdensOf, DRAWS, drawable, even, placesOf, untried, wasTried } from "./members.js";

/** Age at which the table is made anew, in milliseconds: at 1,000 all clients chase the same picture (p99 436 for 78). */
const TABLE_MS = 100;
/** One first measurement in so many members is worth a new table at once. */
const FIRSTS_SHARE = 64;

/** How `latencyWeighted()` draws. The defaults are the law with its guards; the rest is for those who compare. */
export interface LatencyWeightedOptions {
  /**
   * Endpoints drawn by the law for one pick; of two, the one with fewer requests in flight for its weight is taken, so
   * that a burst does not follow a picture that is 100 ms old.
   *
   * @default 2; with nothing in flight the shares are those of one draw
   */
  readonly draws?: 1 | 2 | undefined;
  /** Whether failures, the unmeasured and success rates are minded: see `LatencyLaw`. @default true */
  readonly guards?: boolean | undefined;
  /**
   * `"proportional"` is the law to the letter, short for `{ draws: 1, guards: false }`: an instance that fails fast then
   * attracts calls.
   *
   * @default "guarded"
   */
  readonly selection?: "guarded" | "proportional" | undefined;
}

/**
 * The faster, the more: shares are weight ÷ (latency + 1), with latency as each client measures it, to the response
 * headers, in milliseconds (a moving average, 30 % the newest sample).
 *
 * Choose it where instances differ in speed and newcomers warm up slowly: nobody is ever quite left out, and who becomes
 * fast again has its share back in seconds. It needs calls to be reported back, which `fetch`, `request` and the
 * dispatcher do. `adaptive()` has the shorter tail.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`, naming the option
 */
export function latencyWeighted(options: LatencyWeightedOptions = {}): Balancer {
  knownKeys("latencyWeighted", options, ["draws", "guards", "selection"]);
  const selection = oneOf("latencyWeighted.selection", options.selection ?? "guarded", ["guarded", "proportional"]);
  const literal = selection === "proportional";
  const draws = options.draws ?? (literal ? 1 : 2);
  const guards = options.guards ?? !literal;
  oneOf("latencyWeighted.draws", String(draws), ["1", "2"]);
  oneOf("latencyWeighted.guards", String(guards), ["true", "false"]);
  return { name: "latency-weighted", usesKey: false, create: (seed) => new LatencyWeightedPicker(seed, draws, guards) };
}

class LatencyWeightedPicker implements Picker {
  readonly #random: Xorshift32;
  readonly #table = new AliasTable();
  readonly #law: LatencyLaw;
  readonly #twice: boolean;
  #members: readonly Endpoint[] = [];
  #inFlightAts: Uint32Array = new Uint32Array(0);
  /** Undefined while all weigh the same. */
  #burdens: Float64Array | undefined = undefined;
  #shared: SharedLoad | undefined = undefined;
  #dueAt = 0.5;
  #dueFirsts = 0;

  constructor(seed: number, draws: number, guards: boolean) {
    this.#random = new Xorshift32(seed);
    this.#law = new LatencyLaw(guards);
    this.#twice = draws === 2;
  }

  update(_all: readonly Endpoint[], usable: readonly Endpoint[]): void {
    this.#members = drawable(usable);
    this.#inFlightAts = placesOf(this.#members).map(inFlightAt);
    this.#burdens = even(this.#members) ? undefined : burdensOf(this.#members);
    this.#shared = this.#members[0]?.load.shared;
    if (this.#shared !== undefined) this.#prepare(this.#shared);
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
    if (shared.now >= this.#dueAt || shared.firsts >= this.#dueFirsts) this.#prepare(shared);
    const first = this.#table.draw(this.#random);
    return this.#members[this.#twice ? this.#freer(first, this.#table.draw(this.#random), shared.standings) : first];
  }

  /** The first, unless the second has fewer in flight for its weight. */
  #freer(a: number, b: number, standings: Int32Array): number {
    const atA = standings[this.#inFlightAts[a]!]!;
    const atB = standings[this.#inFlightAts[b]!]!;
    const burdens = this.#burdens;
    if (burdens === undefined) return atB < atA ? b : a;
    return atB * burdens[b]! < atA * burdens[a]! ? b : a;
  }

  /** Some microseconds for 1,000 members, ten times a second. */
  #prepare(shared: SharedLoad): void {
    this.#law.weigh(this.#members);
    this.#table.rebuild(this.#law.weights, this.#members.length);
    this.#dueAt = shared.now + TABLE_MS;
    this.#dueFirsts = shared.firsts + 1 + Math.floor(this.#members.length / FIRSTS_SHARE);
  }
}
