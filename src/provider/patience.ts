import type { Scope } from "../runtime/clock.js";
import { askedPauseMs, type BackoffOptions, backoff } from "../runtime/retry.js";

/** One try that went wrong, and when the next one follows. */
export interface FailedTry {
  readonly cause: unknown;
  /** Counts from 1. */
  readonly attempt: number;
  /** In milliseconds. */
  readonly retryInMs: number;
}

/**
 * Tries until it succeeds, however long that takes: what an agent wants, it never ceases to want. Ends early with the
 * scope's abort reason, or with an error that `isFinal`.
 */
export async function patiently<T>(
  { clock, random, signal }: Scope,
  pauses: BackoffOptions,
  task: (attempt: number) => Promise<T>,
  failed: (failure: FailedTry) => void,
  isFinal: (cause: unknown) => boolean = () => false,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    try {
      return await task(attempt);
    } catch (cause) {
      signal.throwIfAborted();
      if (isFinal(cause)) throw cause;
      const retryInMs = Math.max(askedPauseMs(cause), backoff(pauses, attempt, random));
      failed({ cause, attempt, retryInMs });
      await clock.sleep(retryInMs, signal);
    }
  }
}
