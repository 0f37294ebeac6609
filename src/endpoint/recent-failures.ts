/** How far back a success rate looks, in seconds (Armeria: 10–20 s). */
const WINDOW_S = 10;

/**
 * Outcomes of the last ten seconds, counted at failures only, so that success costs nothing: the successes since the
 * failure before are taken as evenly spread over the time between.
 */
export class RecentFailures {
  readonly #failures = new Float64Array(WINDOW_S);
  readonly #successes = new Float64Array(WINDOW_S);
  #second = -1;
  #failedAt = -0.5;
  #successesThen = 0;

  /** Takes in a failure. `now` is monotonic, in milliseconds; `successes` counts all there ever were. */
  failed(now: number, successes: number): void {
    const second = Math.floor(now / 1_000);
    this.#forget(second);
    if (this.#failedAt >= 0) this.#spread(successes - this.#successesThen, now, second);
    this.#failures[second % WINDOW_S]! += 1;
    this.#failedAt = now;
    this.#successesThen = successes;
  }

  /** Whether so large a share failed that the endpoint must go. */
  tooMany(minSuccessRate: number, minOutcomes: number): boolean {
    const failures = sum(this.#failures);
    const outcomes = failures + sum(this.#successes);
    return outcomes >= minOutcomes && outcomes - failures < outcomes * minSuccessRate;
  }

  /** Gives each second since the failure before its part. */
  #spread(successes: number, now: number, second: number): void {
    const elapsed = Math.max(1, now - this.#failedAt);
    const oldest = Math.max(Math.floor(this.#failedAt / 1_000), second - WINDOW_S + 1);
    for (let each = oldest; each <= second; each++) {
      const from = Math.max(this.#failedAt, each * 1_000);
      const to = Math.min(now, (each + 1) * 1_000);
      const share = now === this.#failedAt ? 1 : Math.max(0, to - from) / elapsed;
      this.#successes[each % WINDOW_S]! += successes * share;
    }
  }

  #forget(second: number): void {
    const passed = Math.min(WINDOW_S, second - this.#second);
    for (let ago = 0; ago < passed; ago++) {
      this.#failures[(second - ago) % WINDOW_S] = 0;
      this.#successes[(second - ago) % WINDOW_S] = 0;
    }
    this.#second = second;
  }
}

function sum(values: Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
