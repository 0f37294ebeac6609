import type { ServiceInstance } from "../model/instance.js";
import type { MemoryRegistry } from "../registry/memory-options.js";
import type { Lease, Registry } from "../registry/registry.js";

/** Leases remembered for a registry that cannot find them by their id. */
const MAX_KEPT = 100_000;
/** Of a lease that has ended, memory looks at the id alone. */
const NAMELESS: Lease = { id: "", instance: undefined as unknown as ServiceInstance, ttlMs: 0, heartbeatMs: 0 };

/** From the lease ids of the wire to leases: those of memory are found there, those of other registries kept here. */
export class Leases {
  readonly #registry: Registry & Partial<Pick<MemoryRegistry, "lease">>;
  readonly #kept = new Map<string, Lease>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** The live lease of that id, as far as is known. */
  find(id: string): Lease | undefined {
    return this.#registry.lease ? this.#registry.lease(id) : this.#kept.get(id);
  }

  /** A lease to ask the registry about; undefined if it could not know one of that id. */
  named(id: string): Lease | undefined {
    return this.find(id) ?? (this.#registry.lease ? { ...NAMELESS, id } : undefined);
  }

  keep(lease: Lease): void {
    if (this.#registry.lease) return;
    this.#kept.set(lease.id, lease);
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value as string);
  }

  forget(id: string): void {
    this.#kept.delete(id);
  }
}
