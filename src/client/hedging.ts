import { invalid, numberIn } from "../model/fields.js";
import { durationMs, knownKeys } from "../runtime/options.js";
import { Deadline } from "./deadlines.js";

/** When a second instance is asked while the first has not answered. */
export interface HedgeOptions {
  /** After this long, in milliseconds. @default what `quantile` of the service's calls take */
  readonly afterMs?: number;
  /** Share of recent calls, 0.5 to 0.999, that were answered by then. @default 0.95 */
  readonly quantile?: number;
}

const HOUR_MS = 3_600_000;
const QUANTILE = 0.95;
/** Buckets grow by a tenth from 0.1 ms on: an estimate is at most that much too high, up to ten minutes. */
const FIRST_MS = 0.1;
const GROWTH = 1.1;
const BUCKETS = 164;
/** Answers without which a quantile says nothing. */
const MIN_ANSWERS = 50;
/** When that many are counted, all counts are halved: what was long ago fades. */
const MAX_ANSWERS = 2_000;
/** The estimate is worked out anew after that many answers. */
const EVERY = 32;

/** Waits for the moment at which a call is worth a second try. */
export class HedgeTimer extends Deadline {
  readonly begunAt: number;
  readonly #call: { hedge(): void };

  constructor(call: { hedge(): void }, begunAt: number) {
    super();
    this.#call = call;
    this.begunAt = begunAt;
  }

  override expire(): void {
    this.#call.hedge();
  }
}

/** When a call of one service is worth a second try at the same time; bounded, and allocates nothing per call. */
export class Hedging {
  readonly #fixedMs: number | undefined;
  readonly #quantile: number;
  readonly #counts = new Float64Array(BUCKETS);
  #total = 0;
  #sinceLast = 0;
  #estimateMs = Number.POSITIVE_INFINITY;

  constructor({ afterMs, quantile = QUANTILE }: HedgeOptions) {
    this.#fixedMs = afterMs;
    this.#quantile = quantile;
  }

  /** How long an answer is waited for; infinite while too few calls were measured. */
  get delayMs(): number {
    return this.#fixedMs ?? this.#estimateMs;
  }

  /**
   * A call had its headers after that long. A slow try that lost to a faster one counts with the time it was waited
   * for: were it left out, the estimate would fall with every hedge.
   */
  answered(ms: number): void {
    this.#counts[bucketOf(ms)]! += 1;
    this.#total++;
    if (this.#total >= MAX_ANSWERS) this.#fade();
    if (++this.#sinceLast < EVERY || this.#total < MIN_ANSWERS) return;
    this.#sinceLast = 0;
    this.#estimateMs = this.#estimate();
  }

  #estimate(): number {
    let left = this.#total * this.#quantile;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#counts[bucket] as number;
      if (left <= 0) return FIRST_MS * GROWTH ** bucket;
    }
    return Number.POSITIVE_INFINITY;
  }

  #fade(): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) this.#counts[bucket]! /= 2;
    this.#total /= 2;
  }
}

function bucketOf(ms: number): number {
  if (!(ms > FIRST_MS)) return 0;
  return Math.min(BUCKETS - 1, Math.ceil(Math.log(ms / FIRST_MS) / Math.log(GROWTH)));
}

/** Checks the option; undefined if hedging is off. @throws {DiscoveryError} `INVALID_OPTION` */
export function hedgeOptions(path: string, given: boolean | HedgeOptions): HedgeOptions | undefined {
  if (typeof given === "boolean") return given ? {} : undefined;
  if (typeof given !== "object" || given === null) throw invalid(path, given, "true, false or { afterMs, quantile }");
  knownKeys(path, given, ["afterMs", "quantile"]);
  const { afterMs, quantile = QUANTILE } = given;
  numberIn(`${path}.quantile`, quantile, 0.5, 0.999);
  return afterMs === undefined
    ? { quantile }
    : { quantile, afterMs: durationMs(`${path}.afterMs`, afterMs, 0, 0, HOUR_MS) };
}
