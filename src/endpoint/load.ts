/** Weight of the newest latency sample: half of the estimate is younger than two samples, nine tenths than seven. */
const LATENCY_SHARE = 0.3;
/** Weight of the newest outcome in the success rate. */
const OUTCOME_SHARE = 0.1;

/** What this process has measured of one endpoint. All fields are doubles from the start: see `endpoint.ts`. */
export class Load {
  /** Calls begun and not yet ended; a streamed answer counts until its body ends. */
  inFlight = 0;
  /** Smoothed time to response headers, in milliseconds; negative until the first sample. */
  latencyMs = -0.5;
  /** Share of recent calls that succeeded, 0 to 1. */
  successRate = 0.999999999;
  /** Calls ever begun. */
  calls = 0;
  /** Calls ever failed. */
  failures = 0;

  /** A failure never makes an endpoint look faster than it is when it works. */
  sample(latencyMs: number, succeeded: boolean): void {
    const before = this.latencyMs;
    const sample = !succeeded && before > latencyMs ? before : latencyMs;
    this.latencyMs = before < 0 ? sample : before + LATENCY_SHARE * (sample - before);
  }

  outcome(succeeded: boolean): void {
    if (!succeeded) this.failures++;
    this.successRate += OUTCOME_SHARE * ((succeeded ? 1 : 0) - this.successRate);
  }
}
