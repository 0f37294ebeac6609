import type { ServiceInstance } from "../model/instance.js";
import type { MemoryRegistry } from "../registry/memory-options.js";
import { isShared, type Lease, type Registry } from "../registry/registry.js";
import type { Clock } from "../runtime/clock.js";
import { LeaseTokens } from "./lease-tokens.js";

/** Leases remembered for a registry that cannot find them by their id. */
const MAX_KEPT = 100_000;
/** Of a lease that has ended, memory looks at the id alone. */
const NAMELESS: Lease = { id: "", instance: undefined as unknown as ServiceInstance, ttlMs: 0, heartbeatMs: 0 };

/**
 * From the lease ids of the wire to leases: those of memory are found there, those in a store that servers share say
 * themselves what they are, and those of other registries are kept here.
 */
export class Leases {
  readonly #registry: Registry & Partial<Pick<MemoryRegistry, "lease">>;
  readonly #tokens: LeaseTokens | undefined;
  readonly #kept = new Map<string, Lease>();

  /** @param key signs the ids of leases that servers share, instead of a secret in their store */
  constructor(registry: Registry, clock: Clock, key: string | undefined) {
    this.#registry = registry;
    this.#tokens = isShared(registry) ? new LeaseTokens(registry, clock, key) : undefined;
  }

  /** What a lease is called on the wire. */
  nameOf(lease: Lease, signal: AbortSignal): string | Promise<string> {
    if (this.#tokens) return this.#tokens.sign(lease, signal);
    this.keep(lease);
    return lease.id;
  }

  /** The live lease of that name with the instance as it is now, as far as is known. */
  async find(name: string, signal: AbortSignal): Promise<Lease | undefined> {
    if (!this.#tokens) return this.#registry.lease ? this.#registry.lease(name) : this.#kept.get(name);
    const lease = await this.#tokens.read(name, signal);
    return lease && isShared(this.#registry) ? this.#registry.held(lease, { signal }) : undefined;
  }

  /** A lease to ask the registry about; undefined if it could not know one of that name. */
  named(name: string, signal: AbortSignal): Lease | undefined | Promise<Lease | undefined> {
    if (this.#tokens) return this.#tokens.read(name, signal);
    return this.#registry.lease ? (this.#registry.lease(name) ?? { ...NAMELESS, id: name }) : this.#kept.get(name);
  }

  /** A lease that has just been renewed, as it is now; undefined if it was not. */
  renewed(lease: Lease): Lease | undefined {
    if (this.#tokens) return lease;
    return this.#registry.lease ? this.#registry.lease(lease.id) : this.#kept.get(lease.id);
  }

  keep(lease: Lease): void {
    if (this.#registry.lease || this.#tokens) return;
    this.#kept.set(lease.id, lease);
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value as string);
  }

  forget(id: string): void {
    this.#kept.delete(id);
  }
}
