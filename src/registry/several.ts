import { DiscoveryError } from "../model/errors.js";
import { invalid } from "../model/fields.js";
import type { Position, RegistryUpdate } from "../model/update.js";
import type { Scope } from "../runtime/clock.js";
import { linked, untilAborted, within } from "../runtime/deadline.js";
import { type Capabilities, type Discovery, isRegistrar } from "./registry.js";

const SLOWEST_FIRST = ["long-poll", "stream"] as const;
/** A watch of several notices a silent one by itself, so it may be silent for longer, in milliseconds. */
const QUIET_MARGIN_MS = 5_000;

/** Checks that there are registries, and that each can list. @throws {DiscoveryError} `INVALID_OPTION` */
export function listable(path: string, registries: readonly unknown[]): readonly Discovery[] {
  if (registries.length === 0) throw invalid(path, registries, "given at least one registry");
  return registries.map((each, index) => {
    if (typeof each === "object" && each !== null && "list" in each) return each as Discovery;
    throw invalid(`${path}[${index}]`, each, "a registry that lists");
  });
}

/**
 * What all of them can do: the weakest counts. They poll only where each of them does: a list beside the watch is one too
 * many for those who poll, and the only thing that is heard of another whose watch cannot be had.
 */
export function weakest(sources: readonly Discovery[]): Capabilities {
  const all = sources.map(({ capabilities }) => capabilities);
  const told = SLOWEST_FIRST.find((each) => all.some(({ watch }) => watch === each));
  return {
    watch: told ?? "poll",
    lease: sources.every((each) => isRegistrar(each)) ? "heartbeat" : "none",
    reasons: all.every(({ reasons }) => reasons),
    epoch: all.every(({ epoch }) => epoch),
    absence: all.every(({ absence }) => absence),
    acks: all.every(({ acks }) => acks === true),
    quietMs: Math.max(...all.map(({ quietMs }) => quietMs)) + QUIET_MARGIN_MS,
  };
}

/** The names known to any of them; fails only if all do. */
export async function servicesOfAny(sources: readonly Discovery[], signal: AbortSignal): Promise<readonly string[]> {
  const answers = await Promise.allSettled(sources.map(async (source) => source.services?.({ signal }) ?? []));
  const [first] = answers;
  if (first?.status === "rejected" && answers.every(({ status }) => status === "rejected")) throw first.reason;
  const names = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
  return [...new Set(names)].sort();
}

/** One source's watch until it fails, falls silent, or the signal aborts: then it throws, however deaf the source is. */
export async function* watchOf(
  source: Discovery,
  service: string,
  since: Position | undefined,
  { clock, signal }: Pick<Scope, "clock" | "signal">,
): AsyncGenerator<RegistryUpdate, never> {
  const over = new AbortController();
  const cut = linked(signal, over.signal);
  const { quietMs } = source.capabilities;
  const updates = source.watch?.(service, { since, signal: cut.signal })[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = (): Promise<IteratorResult<RegistryUpdate>> =>
        untilAborted(updates?.next() ?? Promise.resolve({ done: true, value: undefined }), signal);
      const what = `watch of ${service} at ${source.name}`;
      const { value, done } = Number.isFinite(quietMs)
        ? await within(what, quietMs, { clock, signal }, next)
        : await next();
      if (done) throw new DiscoveryError("UNAVAILABLE", `The ${what} ended`, { service });
      yield value;
    }
  } finally {
    over.abort();
    void updates?.return?.(undefined).catch(() => {}); // not awaited: one that is deaf never comes back
    cut.release();
  }
}
