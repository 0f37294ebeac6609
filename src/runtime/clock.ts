import { performance } from "node:perf_hooks"; // the global of that name is a getter, a fifth of the cost of a look
import { clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from "node:timers";

/** Time as this library sees it, so that a test or a simulation can hold it in its hand. */
export interface Clock {
  /** Monotonic milliseconds since some moment; what every duration is measured with. */
  now(): number;
  /** Milliseconds since 1970, for people; nothing is decided by it. */
  wall(): number;
  /** When a timer was last found late: what was under way then took longer than it took. Monotonic. */
  readonly stalledAt: number;
  /** Resolves after `ms`; rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once after `ms`, unless cancelled before. Never keeps the process alive. */
  schedule(ms: number, run: () => void): Cancel;
}

/** Ends what was scheduled; harmless when it has already run. */
export type Cancel = () => void;

/** A number from 0 (included) to 1 (excluded). */
export type Random = () => number;

/** What every background loop takes: time, chance and the signal to stop. */
export interface Scope {
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/**
 * A timer that fires later than this, in milliseconds, was held up by a busy event loop.
 *
 * Well above the jitter of a healthy loop (a few ms), well below the shortest deadline that anyone sets.
 */
export const LATE_MS = 50;

const MAX_TIMER_MS = 2 ** 31 - 1; // a longer one would fire at once

let stalledAt = Number.NEGATIVE_INFINITY;

/** The real clock. */
export const systemClock: Clock = {
  now: performance.now.bind(performance),
  wall: () => Date.now(),
  get stalledAt() {
    return stalledAt;
  },
  schedule,
  sleep: (ms, signal) => sleepOn(systemClock, ms, signal),
};

/** Node's own source of chance. */
export const systemRandom: Random = Math.random;

/**
 * Node runs timers before it reads sockets. After a stall of this process every deadline would strike although the
 * answers lie in the kernel; so a late timer first lets the event loop read what has come.
 */
function schedule(ms: number, run: () => void): Cancel {
  const dueAt = performance.now() + ms;
  let cancelled = false;
  const fire = (): void => {
    if (!cancelled) run();
  };
  const timer = setTimeout(
    () => {
      const now = performance.now();
      if (now - dueAt <= LATE_MS) return fire();
      stalledAt = now;
      setImmediate(() => setImmediate(fire));
    },
    Math.min(Math.max(ms, 0), MAX_TIMER_MS),
  ).unref();
  return () => {
    cancelled = true;
    clearTimeout(timer);
  };
}

/** `sleep` for any clock that can schedule. */
export function sleepOn(clock: Pick<Clock, "schedule">, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const cancel = clock.schedule(ms, () => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    });
    const aborted = (): void => {
      cancel();
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", aborted, { once: true });
  });
}

/** One turn of the event loop: every promise that can settle by itself has done so then. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Keeps the process alive while somebody awaits `task`: all our timers are unref'd, and Node would otherwise end with
 * exit code 13 in the middle of the user's `await`.
 */
export async function whileAwaited<T>(task: Promise<T>): Promise<T> {
  const hold = setInterval(() => {}, MAX_TIMER_MS);
  try {
    return await task;
  } finally {
    clearInterval(hold);
  }
}

/** As `clock.schedule`, for a pause in the middle of what somebody awaits: it keeps the process alive. */
export function scheduleAwaited(clock: Pick<Clock, "schedule">, ms: number, run: () => void): Cancel {
  const hold = setInterval(() => {}, MAX_TIMER_MS);
  const cancel = clock.schedule(ms, () => {
    clearInterval(hold);
    run();
  });
  return () => {
    clearInterval(hold);
    cancel();
  };
}
