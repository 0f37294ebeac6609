import pRetry from "p-retry";
import { DiscoveryError } from "../model/errors.js";
import type { Random, Scope } from "./clock.js";

/** How pauses grow: `firstMs`, then `factor` times the one before, never above `capMs`. */
export interface BackoffOptions {
  readonly firstMs: number;
  readonly factor: number;
  readonly capMs: number;
}

/** What fails while other things work: gRPC's factor, half its first pause, and client-go's cap. */
export const RECONNECT: BackoffOptions = { firstMs: 500, factor: 1.6, capMs: 30_000 };

/**
 * What a whole process, or one instance, asks of a registry that is away: Nacos' cap. A fleet of 1,000 then asks 400 times a
 * second, a twentieth of what Consul answers.
 */
export const KNOCK: BackoffOptions = { ...RECONNECT, capMs: 5_000 };

/** A registry that asks for time (`Retry-After`) gets no more than this, in milliseconds: a gateway may have spoken for it. */
const ASKED_CAP_MS = 30_000;

/** For how long a registry that failed us asked to be left alone, in milliseconds; 0 if it did not, or said no number. */
export function askedPauseMs(error: unknown): number {
  const askedMs = DiscoveryError.is(error) ? error.retryAfterMs : undefined;
  return Math.min(ASKED_CAP_MS, askedMs || 0);
}

/**
 * The pause before the next try after `failures` failures in a row, drawn from 0 to the grown pause ("full jitter"), so
 * that a fleet that failed together does not return together.
 */
export function backoff({ firstMs, factor, capMs }: BackoffOptions, failures: number, random: Random): number {
  return Math.min(capMs, firstMs * factor ** Math.max(0, failures - 1)) * random();
}

/**
 * Tries a bounded operation again while its errors are {@link DiscoveryError.retryable}. It ends with the last error
 * after `tries`, at once with an error that waiting cannot mend, or with the scope's abort reason.
 */
export function retrying<T>(
  { tries, ...pauses }: BackoffOptions & { readonly tries: number },
  { clock, random, signal }: Scope,
  operation: () => Promise<T>,
): Promise<T> {
  return pRetry(operation, {
    retries: tries - 1,
    minTimeout: 0, // the pause below is the only one: it runs on our clock
    signal,
    shouldRetry: ({ error }) => DiscoveryError.is(error) && error.retryable,
    onFailedAttempt: async ({ error, attemptNumber, retriesLeft }) => {
      if (retriesLeft === 0 || !(DiscoveryError.is(error) && error.retryable)) return;
      await clock.sleep(backoff(pauses, attemptNumber, random), signal);
    },
  });
}
