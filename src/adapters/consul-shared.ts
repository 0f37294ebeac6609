import { DiscoveryError } from "../model/errors.js";
import type { Position, RegistryUpdate } from "../model/update.js";
import type { Clock } from "../runtime/clock.js";
import { haltSignal } from "../runtime/deadline.js";
import type { ConsulTarget } from "./consul-client.js";
import type { ConsulHistory } from "./consul-history.js";
import { ConsulWatch } from "./consul-watch.js";

/** One `consul()` value's part in the watches of this process. */
export interface ConsulPart {
  /** What all who share it know of that Consul. */
  readonly history: ConsulHistory;
  /** As a registry's own. Throws `CLOSED` once this part is left, whoever else goes on. */
  watch(service: string, since: Position | undefined, signal: AbortSignal): AsyncIterable<RegistryUpdate>;
  /** Ends this value's watches; the last one out ends the connections. Idempotent. */
  leave(): Promise<void>;
}

interface Shared {
  readonly watch: ConsulWatch;
  parts: number;
}

/**
 * State of the whole process, on purpose: Consul counts connections by address, and two resolvers of one URL know
 * nothing of each other. By clock, then by all that makes two questions the same question.
 */
const shared = new WeakMap<Clock, Map<string, Shared>>();

/** Joins the watches of all that ask the same Consul with the same rights and wait as long; the first one begins them. */
export function partIn(target: ConsulTarget, clock: Clock, waitMs: number): ConsulPart {
  const key = JSON.stringify([target.origin, target.token, target.datacenter, waitMs]);
  const all = shared.get(clock) ?? new Map<string, Shared>();
  shared.set(clock, all);
  const joined = all.get(key) ?? { watch: new ConsulWatch(target, clock, waitMs), parts: 0 };
  all.set(key, joined);
  joined.parts++;
  const closed = haltSignal();
  return {
    history: joined.watch.history,
    watch: (service, since, signal) => joined.watch.of(service, since, signal, closed.signal),
    leave: async () => {
      if (closed.signal.aborted) return;
      closed.abort(new DiscoveryError("CLOSED", `The watches of ${target.name} were closed`));
      if (--joined.parts > 0) return;
      all.delete(key);
      await joined.watch.close();
    },
  };
}
