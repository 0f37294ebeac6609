import { DiscoveryError } from "../model/errors.js";
import { type ServiceInstance, withFields } from "../model/instance.js";
import type { Deregistration, Lease, Registrar } from "../registry/registry.js";
import type { Clock, Random, Scope } from "../runtime/clock.js";
import { haltSignal, within } from "../runtime/deadline.js";
import { RECONNECT, retrying } from "../runtime/retry.js";

/** Declaring that we drain may take this long, in milliseconds: it only spares consumers a surprise. */
const DECLARE_MS = 1_000;
/** Leaving may take this long, in milliseconds, beyond what consumers need to take note. */
const DEREGISTER_MS = 2_000;
/** Tries to leave, within that time. */
const TRIES = { ...RECONNECT, tries: 3 } as const;

/** Who leaves. */
export interface Parting {
  readonly registrar: Registrar;
  readonly lease: Lease;
  /** What the registry was told of us last. */
  readonly told: ServiceInstance;
  /** How long consumers may take to note that we left, in milliseconds. */
  readonly drainMs: number;
}

/** What came of it. */
export interface Goodbye extends Deregistration {
  /** Whether the registry took us out; otherwise the ttl does. */
  readonly deregistered: boolean;
}

/**
 * Leaves the registry and waits until consumers know: declares `draining`, deregisters, then waits for their
 * acknowledgements where the registry collects them, else for `drainMs`. Never rejects: what fails, the ttl mends.
 *
 * Bounded by 1 s + 2 s + `drainMs`; by 3 s if the registry is silent, since then no consumer could hear of us.
 */
export async function sayGoodbye(parting: Parting, ground: { clock: Clock; random: Random }): Promise<Goodbye> {
  const { registrar, drainMs } = parting;
  const scope = { ...ground, signal: haltSignal().signal }; // nothing ends it but its own limits
  const { lease, silent } = await declareDraining(parting, scope);
  const acks = registrar.capabilities.acks === true;
  const waitMs = silent ? Math.min(drainMs, DEREGISTER_MS / 2) : drainMs;
  const limitMs = DEREGISTER_MS + (acks && !silent ? waitMs : 0);
  const asked = acks && waitMs > 0 ? { waitMs } : {};
  try {
    const left = await within(`deregistration of ${lease.instance.id}`, limitMs, scope, (signal) =>
      retrying(TRIES, { ...scope, signal }, () => registrar.deregister(lease, { signal, ...asked })),
    );
    if (!acks) await scope.clock.sleep(drainMs);
    return { deregistered: true, acked: left.acked, waiting: left.waiting };
  } catch {
    return { deregistered: false };
  }
}

/** With any registry, one last seen draining that vanishes has left: nobody doubts it. */
async function declareDraining(
  { registrar, lease, told }: Parting,
  scope: Scope,
): Promise<{ readonly lease: Lease; readonly silent: boolean }> {
  if (told.status === "draining") return { lease, silent: false };
  try {
    const draining = withFields(told, { status: "draining" });
    const updated = await within(`draining of ${told.id}`, DECLARE_MS, scope, (signal) =>
      registrar.update(lease, draining, { signal }),
    );
    return { lease: updated, silent: false };
  } catch (error) {
    return { lease, silent: DiscoveryError.is(error, "TIMEOUT") };
  }
}
