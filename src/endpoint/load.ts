import { rawMsOf } from "./report.js";
import { Book, bookOf, inFlightAt, type SharedLoad } from "./shared-load.js";

/**
 * What this process has measured of one endpoint. It belongs to the endpoint, not to a balancer: a change of balancer
 * keeps it, and every balancer finds in it what it goes by.
 *
 * The numbers themselves are in the arrays that all endpoints of the service share, at our place.
 */
export class Load {
  /** What all endpoints of the service have in common. */
  readonly shared: SharedLoad;
  /** Where in its arrays our numbers are. */
  readonly place: number;
  /** Calls ever failed. */
  failures = 0;
  /** Calls ever given up by their callers. */
  cancelled = 0;

  constructor(shared: SharedLoad, place: number) {
    this.shared = shared;
    this.place = place;
  }

  /** Calls begun and not yet ended; a streamed answer counts until its body ends. */
  get inFlight(): number {
    return this.shared.standings[inFlightAt(this.place)]!;
  }

  /** Calls begun of which nothing was heard yet. */
  get waiting(): number {
    return this.shared.standings[inFlightAt(this.place) + 1]!;
  }

  /** Calls ever begun. */
  get calls(): number {
    return this.successes + this.failures + this.cancelled + this.waiting;
  }

  /** Calls ever answered as they should be. */
  get successes(): number {
    return this.#read(Book.SUCCESSES);
  }

  /** Smoothed time to response headers, in milliseconds; negative until the first answer. Failures never lower it. */
  get latencyMs(): number {
    return this.#read(Book.LATENCY_MS);
  }

  /** The same with failures timed like answers, as in the spec; negative until the first sample. */
  get rawMs(): number {
    return rawMsOf(this.shared, this.place);
  }

  /** The same, but quick to rise and slow to fall; negative until the first sample. What `adaptive()` goes by. */
  get peakMs(): number {
    return this.#read(Book.PEAK_MS);
  }

  /** Share of recent calls that succeeded, 0.05 to 1. */
  get successRate(): number {
    return this.#read(Book.SUCCESS_RATE);
  }

  #read(what: number): number {
    return this.shared.books[bookOf(this.place) | what]!;
  }
}
