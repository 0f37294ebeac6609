import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { setTimeout as pass } from "node:timers/promises";
import { DiscoveryError, type ServiceClient } from "../../src/index.js";

/** How long a fault lasts under load, in seconds. */
export const SECONDS = Number(process.env["CHAOS_SECONDS"] ?? 15);
/** How long a registry is away, in seconds: long enough for every pause between two tries to have grown to its cap. */
export const AWAY_SECONDS = Number(process.env["CHAOS_SECONDS"] ?? 60);

/** A moment, in milliseconds, and the fewest calls that tell who shares them: chance leaves nobody out of so many. */
const SHARING_MS = 200;
const SHARED_CALLS = 40;

/** One call that its caller saw fail. */
export interface Failure {
  readonly sentAt: number;
  /** The code of our error, or what else it was. */
  readonly code: string;
  readonly message: string;
}

/** A try that went wrong and was made good elsewhere; a trial of an ejected instance is no such try. */
export interface Retried {
  readonly id: string;
  readonly at: number;
  /** What the try failed with; undefined if it was answered. */
  readonly code: string | undefined;
}

/** What a load saw. All moments are of `performance.now()`. */
export interface Load {
  calls: number;
  readonly failures: Failure[];
  readonly retried: Retried[];
  /** Whose trials failed. */
  readonly trials: string[];
  /** When each call was sent, in order. */
  readonly sentAt: number[];
}

/** What the channel `discovery:retry` tells. */
interface RetryMessage {
  readonly service: string;
  readonly instance: { readonly id: string };
  readonly isTrial: boolean;
  readonly error: { readonly code?: string } | undefined;
}

/** What one call answers, by `request` or by `fetch`. */
type Answered = { readonly status?: number; readonly statusCode?: number };

/** A call like any other, its body read. */
export function get(orders: ServiceClient, path = "/v1/orders/42") {
  return () => orders.request(path).then(drained);
}

export async function drained<T extends { body: { dump(): Promise<unknown> } }>(response: T): Promise<T> {
  await response.body.dump();
  return response;
}

/** Calls in an open loop, `rate` a second, for so many seconds or until it is over; `at` happens on the way. */
export async function underLoad(
  orders: ServiceClient,
  rate: number,
  length: number | (() => boolean),
  call: () => Promise<Answered>,
  at: Readonly<Record<number, () => unknown>> = {},
): Promise<Load> {
  const load: Load = { calls: 0, failures: [], retried: [], trials: [], sentAt: [] };
  const noted = (message: unknown): void => {
    const { service, instance, isTrial, error } = message as RetryMessage;
    if (service !== orders.name) return;
    if (isTrial) return void load.trials.push(instance.id);
    load.retried.push({ id: instance.id, at: performance.now(), code: error?.code });
  };
  subscribe("discovery:retry", noted);
  const begun = performance.now();
  const pending: Promise<void>[] = [];
  const acts = Object.entries(at).map(async ([second, act]) => pass(Number(second) * 1_000).then(act));
  const isOver = typeof length === "function" ? length : () => performance.now() - begun >= length * 1_000;
  try {
    while (!isOver()) {
      const due = Math.floor(((performance.now() - begun) / 1_000) * rate);
      while (load.calls < due) {
        load.calls++;
        pending.push(one(call, load));
      }
      await pass(2);
    }
    await Promise.all([...pending, ...acts]);
  } finally {
    unsubscribe("discovery:retry", noted);
  }
  return load;
}

/** The block of consecutive calls that were sent within a span: how many there were, and which of them failed. */
export function block({ sentAt, failures }: Load, from: number, to = Number.POSITIVE_INFINITY) {
  const isIn = (at: number): boolean => at >= from && at < to;
  return { calls: sentAt.filter(isIn).length, failures: failures.filter((failure) => isIn(failure.sentAt)) };
}

/** How few instances shared the calls of any moment. Moments with few calls are left out: this process may stand still. */
export async function fewestSharing(orders: ServiceClient, isOver: () => boolean): Promise<number> {
  let fewest = Number.POSITIVE_INFINITY;
  const counts = (): Map<string, number> =>
    new Map(orders.endpoints.map((each) => [each.instance.id, each.load.calls]));
  for (let before = counts(); !isOver(); ) {
    await pass(SHARING_MS);
    const now = counts();
    const made = [...now].map(([id, calls]) => calls - (before.get(id) ?? 0)).filter((calls) => calls > 0);
    if (made.reduce((sum, calls) => sum + calls, 0) >= SHARED_CALLS) fewest = Math.min(fewest, made.length);
    before = now;
  }
  return fewest;
}

/** How often an instance was picked again, trials apart, after it had gone out of rotation. */
export interface Out {
  /** When it went out; not a number while it is in. */
  at: number;
  /** Beside trials that have failed; one more may be under way. */
  picks(load: Load): number;
}

/** Follows an instance out of rotation. Counts, not times: this process may stand still on a busy machine. */
export function outOf(orders: ServiceClient, id: string): Out {
  const picked = (): number => orders.endpoints.find(({ instance }) => instance.id === id)?.load.calls ?? 0;
  let before = Number.NaN;
  const out: Out = {
    at: Number.NaN,
    picks: ({ trials }) => picked() - before - trials.filter((trial) => trial === id).length,
  };
  orders.on("ejected", ({ instance }) => {
    if (instance.id !== id || !Number.isNaN(before)) return;
    out.at = performance.now();
    before = picked();
  });
  return out;
}

/** Prints the line of figures that the guarantees quote. */
export function tell(
  name: string,
  { calls, failures }: { calls: number; failures: readonly unknown[] },
  rest: string,
): void {
  console.info(`${name}: ${calls} calls, ${failures.length} failed, ${rest}`);
}

async function one(call: () => Promise<Answered>, load: Load): Promise<void> {
  const sentAt = performance.now();
  load.sentAt.push(sentAt);
  try {
    const { status, statusCode } = await call();
    const code = String(status ?? statusCode);
    if (code !== "200") load.failures.push({ sentAt, code, message: `It answered ${code}` });
  } catch (error) {
    load.failures.push({ sentAt, code: DiscoveryError.is(error) ? error.code : "FOREIGN", message: String(error) });
  }
}

/** Waits for a condition, at most half a minute unless told otherwise. */
export async function until(condition: () => boolean, what = "It", limitMs = 30_000): Promise<number> {
  const begun = performance.now();
  while (!condition()) {
    if (performance.now() - begun > limitMs) throw new Error(`${what} did not come to pass within ${limitMs} ms`);
    await pass(5);
  }
  return performance.now() - begun;
}
