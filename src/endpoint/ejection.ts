import type { Random } from "../runtime/clock.js";
import { RecentFailures } from "./recent-failures.js";

/** When an endpoint is taken out of rotation, and for how long. */
export interface EjectionOptions {
  /** Failures in a row (5xx, timeouts, resets) that eject. @default 5, as Envoy and Finagle */
  readonly consecutiveFailures: number;
  /**
   * Share of outcomes within ten seconds, 0 to 1, below which an endpoint is ejected; 0 turns that off.
   *
   * @default 0.5, as Armeria
   */
  readonly minSuccessRate: number;
  /** Outcomes within ten seconds below which a rate says nothing. @default 20 */
  readonly minOutcomes: number;
  /** First pause after failures, doubled each time, in milliseconds. @default 5_000 */
  readonly baseMs: number;
  /** Longest pause after failures, in milliseconds, also where `Retry-After` asks for more. @default 60_000 */
  readonly maxMs: number;
  /** First pause after a refused connection, doubled each time, in milliseconds. @default 1_000 */
  readonly refusedBaseMs: number;
  /** Longest pause after a refused connection, in milliseconds. @default 30_000 */
  readonly refusedMaxMs: number;
}

/** A dead instance is tried after a second at first, a sick one after five. */
export const EJECTION: EjectionOptions = {
  consecutiveFailures: 5,
  minSuccessRate: 0.5,
  minOutcomes: 20,
  baseMs: 5_000,
  maxMs: 60_000,
  refusedBaseMs: 1_000,
  refusedMaxMs: 30_000,
};

/** Pauses differ by up to this share either way, so that clients do not come back in step. */
const JITTER = 0.25;

/** Why an endpoint is out: nothing listens there, what listens keeps failing, or it asked for a pause. */
export type EjectionCause = "refused" | "failing" | "overloaded";

/** Whether one endpoint is in rotation, out of it, or on trial. Decides; the service acts. */
export class Ejection {
  /** Why it is out; undefined while it is in. */
  cause: EjectionCause | undefined = undefined;
  /** True while one request tries whether it may come back. */
  onTrial = false;
  /** Failures since the last success. */
  failuresInRow = 0;
  /** How often it was ejected without proving itself in between: each time doubles the pause. */
  times = 0;
  /** Successes ever: what the failures are compared with. */
  successes = 0;
  /** For how long the endpoint itself asked to be left alone (`Retry-After`), in milliseconds; taken at its next failure. */
  askedMs = 0;
  /** When its pause ends, on the monotonic clock; means nothing while it is in. */
  until = 0.5;
  #recent: RecentFailures | undefined = undefined;

  /** Takes in a success; in panic every one counts. True if that readmits it. */
  succeeded(panic: boolean): boolean {
    this.failuresInRow = 0;
    if (this.cause === undefined) {
      this.times = 0;
      return false;
    }
    if (!this.onTrial && !panic) return false; // an answer to a call from before it was ejected proves nothing
    this.cause = undefined;
    this.onTrial = false;
    return true;
  }

  /** Takes in a failure; says why it must go, if it must. `now` is monotonic. */
  failed(refused: boolean, options: EjectionOptions, now: number): EjectionCause | undefined {
    this.failuresInRow++;
    this.#recent ??= new RecentFailures();
    this.#recent.failed(now, this.successes);
    if (this.cause !== undefined && !this.onTrial) return undefined; // already out
    if (refused) return "refused";
    if (this.askedMs > 0) return "overloaded";
    const { consecutiveFailures, minSuccessRate, minOutcomes } = options;
    const mustGo = this.failuresInRow >= consecutiveFailures || this.#recent.tooMany(minSuccessRate, minOutcomes);
    return this.onTrial || mustGo ? "failing" : undefined;
  }

  /** Goes out; the answer is for how many milliseconds. */
  eject(cause: EjectionCause, options: EjectionOptions, random: Random): number {
    const { baseMs, maxMs, refusedBaseMs, refusedMaxMs } = options;
    const [base, max] = cause === "refused" ? [refusedBaseMs, refusedMaxMs] : [baseMs, maxMs];
    const pauseMs = Math.min(max, base * 2 ** this.times) * (1 - JITTER + 2 * JITTER * random());
    const askedMs = Math.min(max, this.askedMs * (1 + JITTER * random())); // never sooner than it asked for
    this.#leaves(cause);
    if (cause === "overloaded") return askedMs;
    this.times++;
    return pauseMs;
  }

  /** Begins anew: another life of the instance stands behind the address. */
  reset(): void {
    this.cause = undefined;
    this.onTrial = false;
    this.failuresInRow = 0;
    this.times = 0;
    this.askedMs = 0;
    this.#recent = undefined;
  }

  #leaves(cause: EjectionCause): void {
    this.cause = cause;
    this.onTrial = false;
    this.askedMs = 0;
    this.#recent = undefined; // whoever comes back is judged by what it does then
  }
}
