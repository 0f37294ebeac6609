import type { RegistryUpdate } from "../model/update.js";
import { type Clock, type Random, systemClock, systemRandom } from "../runtime/clock.js";
import { durationMs, knownKeys } from "../runtime/options.js";
import type { CallOptions, Discovery } from "./registry.js";

/** The share by which a poll may come early or late, so that a fleet does not ask in step. */
const JITTER = 0.1;

/** How often to ask. */
export interface PollingOptions {
  /** Time between two questions, in milliseconds, give or take a tenth. @default 30_000, the spec's full pull */
  readonly intervalMs?: number;
  /** For tests. @default the real clock */
  readonly clock?: Clock;
  /** For tests. @default Math.random */
  readonly random?: Random;
}

/**
 * Gives a source that cannot push a watch all the same, by asking again and again, on condition that something changed.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function polling(
  source: Discovery,
  options: PollingOptions = {},
): Discovery & Required<Pick<Discovery, "watch">> {
  knownKeys("polling", options, ["intervalMs", "clock", "random"]);
  const intervalMs = durationMs("polling.intervalMs", options.intervalMs, 30_000, 100, 86_400_000);
  const { clock = systemClock, random = systemRandom } = options;

  async function* watch(
    service: string,
    { since, signal }: CallOptions & { readonly since?: string | undefined },
  ): AsyncGenerator<RegistryUpdate> {
    let position = since;
    while (!signal.aborted) {
      const update = await source.list(service, { since: position, signal });
      yield update;
      if (update.type === "absent") position = undefined;
      else if (update.type === "reset" && update.warming)
        position = undefined; // only a whole list tells that it is warm
      else if (update.position !== undefined) position = update.position;
      await clock.sleep(intervalMs * (1 - JITTER + 2 * JITTER * random()), signal).catch(() => {});
    }
  }

  return {
    name: source.name,
    capabilities: { ...source.capabilities, watch: "poll", quietMs: intervalMs * 3 },
    watch,
    list: (service, call) => source.list(service, call),
    services: async (call) => (await source.services?.(call)) ?? [],
    close: () => source.close(),
  };
}
