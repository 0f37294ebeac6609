import { setMaxListeners } from "node:events";
import { DiscoveryError } from "../model/errors.js";
import type { Scope } from "./clock.js";

/**
 * Runs a task that must end within `limitMs`. The signal it gets aborts at the limit and with the scope's own signal,
 * and leaves no listener behind.
 *
 * @param what names the task in the error: `heartbeat to http://…`
 * @throws {DiscoveryError} `TIMEOUT` at the limit; the scope's own abort reason passes through untouched
 */
export async function within<T>(
  what: string,
  limitMs: number,
  { clock, signal: outer }: Pick<Scope, "clock" | "signal">,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  outer.throwIfAborted();
  const inner = haltSignal();
  let stop: (reason: unknown) => void = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = (reason) => {
      inner.abort(reason);
      reject(reason);
    };
  });
  const abort = (): void => stop(outer.reason);
  outer.addEventListener("abort", abort, { once: true });
  const cancel = clock.schedule(limitMs, () => {
    stop(new DiscoveryError("TIMEOUT", `No answer within ${limitMs} ms: ${what}`));
  });
  try {
    return await Promise.race([task(inner.signal), stopped]); // a task deaf to its signal is left behind
  } finally {
    cancel();
    outer.removeEventListener("abort", abort);
  }
}

/** A signal of our own, on which many may wait at once: Node's warning of a leak at ten is not meant for it. */
export function haltSignal(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/** A signal that follows the given ones until it is released. */
export interface LinkedSignal {
  readonly signal: AbortSignal;
  release(): void;
}

/** Joins signals without leaving a listener on any of them once released. */
export function linked(...parents: readonly (AbortSignal | undefined)[]): LinkedSignal {
  const controller = new AbortController();
  const undo: (() => void)[] = [];
  for (const parent of parents) {
    if (!parent) continue;
    if (parent.aborted) {
      controller.abort(parent.reason);
      continue;
    }
    const abort = (): void => controller.abort(parent.reason);
    parent.addEventListener("abort", abort, { once: true });
    undo.push(() => parent.removeEventListener("abort", abort));
  }
  return { signal: controller.signal, release: () => undo.forEach((each) => void each()) };
}

/** Settles like `task`, or rejects with the signal's reason as soon as it aborts. */
export async function untilAborted<T>(task: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return task;
  signal.throwIfAborted();
  let abort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([task, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
