/** The window over which retries are compared with requests, in seconds (Finagle's RetryBudget: 10 s). */
const WINDOW_S = 10;
/** Retries allowed per request in the window. */
const SHARE = 0.2;
/** Retries always allowed, per second, so that a quiet client may retry at all. */
const FLOOR_PER_S = 10;

/**
 * How many calls of a service may be sent a second time. Without a bound, a service that fails everything gets three
 * times its load when it can least bear it. What was provably never sent costs nothing.
 */
export class RetryBudget {
  readonly #requests = new Float64Array(WINDOW_S);
  readonly #retries = new Float64Array(WINDOW_S);
  #second = 0;

  /** A call begins. `now` is monotonic, in milliseconds. */
  requested(now: number): void {
    this.#requests[this.#slot(now)]! += 1;
  }

  /** Whether another retry is in the budget. */
  allows(now: number): boolean {
    this.#slot(now);
    return sum(this.#retries) < sum(this.#requests) * SHARE + FLOOR_PER_S * WINDOW_S;
  }

  /** Takes one retry out of the budget; false if there is none left. */
  take(now: number): boolean {
    if (!this.allows(now)) return false;
    this.#retries[this.#slot(now)]! += 1;
    return true;
  }

  #slot(now: number): number {
    const second = Math.floor(now / 1_000);
    if (second !== this.#second) this.#forget(second);
    return second % WINDOW_S;
  }

  #forget(second: number): void {
    const passed = Math.min(WINDOW_S, second - this.#second);
    for (let ago = 0; ago < passed; ago++) {
      this.#requests[(second - ago) % WINDOW_S] = 0;
      this.#retries[(second - ago) % WINDOW_S] = 0;
    }
    this.#second = second;
  }
}

function sum(values: Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
