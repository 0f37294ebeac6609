import type { Deregistration, Lease, Registry } from "../registry/registry.js";
import type { Clock } from "../runtime/clock.js";
import type { Departure } from "./departures.js";
import type { Hub } from "./hub.js";

/** What a departure needs of the server. */
export interface LeaveContext {
  readonly registry: Registry;
  readonly hub: Hub;
  readonly clock: Clock;
}

/** How long somebody waits, and what ends that. */
export interface LeaveOptions {
  /** 0 waits for nobody. */
  readonly waitMs: number;
  /** Ends everything. */
  readonly signal: AbortSignal;
  /** Aborts when whoever asked has gone: nobody waits then, but the instance leaves all the same. */
  readonly asking: AbortSignal;
}

/**
 * Deregisters at once; answers when every reader who watched the service and acknowledges has taken note or gone, and
 * at the latest after `waitMs`. Readers of a registry beyond this one are waited for by that.
 */
export async function leave(lease: Lease, context: LeaveContext, options: LeaveOptions): Promise<Deregistration> {
  const { registry, hub, clock } = context;
  const { waitMs, signal, asking } = options;
  const departure = await departureOf(lease, context, options);
  const end = (): void => departure?.end();
  const cancel = departure && clock.schedule(waitMs, end);
  asking.addEventListener("abort", end, { once: true });
  if (asking.aborted) end();
  try {
    const onward = waitMs > 0 && registry.capabilities.acks ? { signal, waitMs } : { signal };
    const leaving = registry.deregister(lease, onward);
    if (departure && !registry.watch) void leaving.then(() => hub.lookAgain(departure.service)).catch(() => {});
    const [beyond, here] = await Promise.all([leaving, departure?.over]);
    return { acked: sum(beyond.acked, here?.acked), waiting: sum(beyond.waiting, here?.waiting) };
  } finally {
    cancel?.();
    asking.removeEventListener("abort", end);
    end();
  }
}

/** Undefined if there is nobody to wait for, or nothing that they would be told. */
async function departureOf(
  lease: Lease,
  { registry, hub }: LeaveContext,
  { waitMs, signal }: LeaveOptions,
): Promise<Departure | undefined> {
  if (waitMs === 0 || lease.instance === undefined) return undefined; // of a lease that has ended its id is all there is
  const { service, id } = lease.instance;
  if (hub.witnessesOf(service).length === 0) return undefined;
  const update = await registry.list(service, { signal }).catch(() => undefined);
  const isUnlisted =
    update?.type === "absent" || (update?.type === "reset" && update.instances.every((each) => each.id !== id));
  return isUnlisted ? undefined : hub.departures.begin(lease, hub.witnessesOf(service)); // as of now, after the list
}

function sum(a = 0, b = 0): number {
  return a + b;
}
