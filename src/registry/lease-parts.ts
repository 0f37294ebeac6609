import { DiscoveryError } from "../model/errors.js";
import type { ServiceInstance } from "../model/instance.js";
import type { Lease, RegisterOptions } from "./registry.js";

/** What one of several registries has granted. */
export interface LeasePart {
  readonly lease: Lease;
  /** What that registry was told last; undefined where another process told it. */
  readonly told: ServiceInstance | undefined;
  /** When the last beat that it answered was sent. Monotonic. */
  readonly answeredAt: number;
  /** Since when it has answered every beat; undefined while it does not. Monotonic. */
  readonly steadySince: number | undefined;
}

/** One registration, as several registries hold it. */
export interface JointLease {
  wanted: ServiceInstance;
  /** How new it is what is wanted. */
  edition: number | undefined;
  /** What each registry is asked for. */
  readonly terms: Omit<RegisterOptions, "signal" | "edition">;
  /** By the order of the registries; undefined where one does not hold it. */
  readonly parts: (LeasePart | undefined)[];
  /** When each may be asked again to take it in. Monotonic. */
  readonly askAgainAt: number[];
  /** Why it has ended, in the word of the registry that said so. */
  ended: string | undefined;
  /** It was deregistered: a beat still under way must not take it in again. */
  hasLeft?: boolean;
}

type Encoded = readonly ([id: string, ttlMs: number, heartbeatMs: number, epoch: string | null] | null)[];

/** The parts of a lease as its id: whoever holds the id can renew all of them. */
export function leaseIdOf(parts: readonly (LeasePart | undefined)[]): string {
  const encoded: Encoded = parts.map((part) => {
    if (!part) return null;
    const { id, ttlMs, heartbeatMs, epoch = null } = part.lease;
    return [id, ttlMs, heartbeatMs, epoch];
  });
  return JSON.stringify(encoded);
}

/**
 * Reads a lease that another process was granted.
 *
 * @throws {DiscoveryError} `LEASE_LOST` if it was granted by something else
 */
export function jointLeaseOf(lease: Lease, registries: number, now: number): JointLease {
  const { instance, ttlMs } = lease;
  const parts = partsIn(lease.id, registries).map((part): LeasePart | undefined => {
    if (!part) return undefined;
    const [id, ttlMs, heartbeatMs, epoch] = part;
    const inner = { id, instance, ttlMs, heartbeatMs, epoch: epoch ?? undefined };
    return { lease: inner, told: undefined, answeredAt: now, steadySince: undefined };
  });
  const askAgainAt = parts.map(() => Number.NEGATIVE_INFINITY);
  return { wanted: instance, edition: undefined, terms: { ttlMs }, parts, askAgainAt, ended: undefined };
}

function partsIn(id: string, registries: number): Encoded {
  try {
    const parts: unknown = JSON.parse(id);
    if (Array.isArray(parts) && parts.length === registries) return parts as Encoded;
  } catch {} // told below
  throw new DiscoveryError("LEASE_LOST", `A lease that these ${registries} registries did not grant together`);
}
