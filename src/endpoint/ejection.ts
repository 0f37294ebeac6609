import type { Random } from "../runtime/clock.js";

/** When an endpoint is taken out of rotation, and for how long. */
export interface EjectionOptions {
  /** Failures in a row (5xx, timeouts, resets) that eject. @default 5, as Envoy and Finagle */
  readonly consecutiveFailures: number;
  /** First pause after failures, doubled each time, in milliseconds. @default 5_000 */
  readonly baseMs: number;
  /** Longest pause after failures, in milliseconds. @default 60_000 */
  readonly maxMs: number;
  /** First pause after a refused connection, doubled each time, in milliseconds. @default 1_000 */
  readonly refusedBaseMs: number;
  /** Longest pause after a refused connection, in milliseconds. @default 30_000 */
  readonly refusedMaxMs: number;
}

/** A dead instance is tried after a second at first, a sick one after five. */
export const EJECTION: EjectionOptions = {
  consecutiveFailures: 5,
  baseMs: 5_000,
  maxMs: 60_000,
  refusedBaseMs: 1_000,
  refusedMaxMs: 30_000,
};

/** Pauses differ by up to this share either way, so that clients do not come back in step. */
const JITTER = 0.25;

/** Why an endpoint is out: nothing listens there, or what listens keeps failing. */
export type EjectionCause = "refused" | "failing";

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

  /** Takes in a failure; says why it must go, if it must. */
  failed(refused: boolean, { consecutiveFailures }: EjectionOptions): EjectionCause | undefined {
    this.failuresInRow++;
    if (this.cause !== undefined && !this.onTrial) return undefined; // already out
    if (refused) return "refused";
    return this.onTrial || this.failuresInRow >= consecutiveFailures ? "failing" : undefined;
  }

  /** Goes out; the answer is for how many milliseconds. */
  eject(cause: EjectionCause, options: EjectionOptions, random: Random): number {
    const { baseMs, maxMs, refusedBaseMs, refusedMaxMs } = options;
    const [base, max] = cause === "refused" ? [refusedBaseMs, refusedMaxMs] : [baseMs, maxMs];
    const pauseMs = Math.min(max, base * 2 ** this.times) * (1 - JITTER + 2 * JITTER * random());
    this.cause = cause;
    this.onTrial = false;
    this.times++;
    return pauseMs;
  }

  /** Begins anew: another life of the instance stands behind the address. */
  reset(): void {
    this.cause = undefined;
    this.onTrial = false;
    this.failuresInRow = 0;
    this.times = 0;
  }
}
