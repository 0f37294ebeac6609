import type { ObservedStatus } from "../registry/status.js";
/** A probe that passed, but slower than this, in milliseconds, counts against an instance. */
export const SLOW_MS = 1_000;
/** How many probes are looked back on; as many good ones end `unstable`. */
const WINDOW = 3;
/** So many of them must be slow. */
const SLOW_OF_WINDOW = 2;
/** A verdict stands for so many probes at least, so that an instance that flaps is not told of at every turn. */
const STEADY = 3;

/** What one probe says of an instance; a probe that says nothing of it does not come here. */
export interface Evidence {
  readonly passed: boolean;
  readonly latencyMs: number;
}

/** What the probes of one instance add up to. Begins with the benefit of the doubt. */
export class ProbeVerdict {
  readonly #failures: number;
  #seen: ObservedStatus = "healthy";
  #failedInARow = 0;
  #goodInARow = 0;
  /** The last probes, one bit each: 1 was slow. */
  #slow = 0;
  #steadyFor = STEADY;

  /** @param failures failed probes in a row after which an instance counts as failed */
  constructor(failures: number) {
    this.#failures = failures;
  }

  get seen(): ObservedStatus {
    return this.#seen;
  }

  /** Takes note of a probe; the new verdict if it changes by that. */
  add({ passed, latencyMs }: Evidence): ObservedStatus | undefined {
    const isSlow = passed && latencyMs > SLOW_MS; // one that timed out has failed: that is the worse word for it
    this.#failedInARow = passed ? 0 : this.#failedInARow + 1;
    this.#goodInARow = passed && !isSlow ? this.#goodInARow + 1 : 0;
    this.#slow = ((this.#slow << 1) | Number(isSlow)) & ((1 << WINDOW) - 1);
    this.#steadyFor++;
    const next = this.#next(passed);
    if (next === this.#seen || this.#steadyFor < STEADY) return undefined;
    this.#seen = next;
    this.#steadyFor = 0;
    return next;
  }

  #next(passed: boolean): ObservedStatus {
    if (this.#failedInARow >= this.#failures) return "failed";
    if (this.#seen === "failed" && !passed) return "failed"; // it comes back by passing, not by being forgotten
    if (bitsIn(this.#slow) >= SLOW_OF_WINDOW) return "unstable";
    return this.#seen === "unstable" && this.#goodInARow < WINDOW ? "unstable" : "healthy";
  }
}

function bitsIn(value: number): number {
  let bits = 0;
  for (let rest = value; rest > 0; rest &= rest - 1) bits++;
  return bits;
}
