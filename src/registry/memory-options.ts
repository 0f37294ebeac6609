import type { ServiceInstance } from "../model/instance.js";
import type { Position, RegistryUpdate } from "../model/update.js";
import type { Clock } from "../runtime/clock.js";
import type { Beat, CallOptions, Deregistration, Lease, Registry, Renewal } from "./registry.js";

/** How a memory registry behaves. */
export interface MemoryRegistryOptions {
  /** @default the real clock */
  readonly clock?: Clock;
  /**
   * How long after its start it says `warming`, in milliseconds: it knows nobody yet, so absence proves nothing.
   *
   * @default 30_000, the default ttl: every agent alive beats within it
   */
  readonly warmingMs?: number;
  /** Names this life of the registry. @default random */
  readonly epoch?: string;
}

/** A registry in this process's memory: the reference for all others, and what the embedded server serves. */
export interface MemoryRegistry extends Registry {
  readonly epoch: string;
  /** Rises by one with every change. */
  readonly revision: number;
  readonly warming: boolean;
  /** How many registrations are alive. */
  readonly size: number;
  watch(
    service: string,
    options: CallOptions & { readonly since?: Position | undefined },
  ): AsyncGenerator<RegistryUpdate>;
  list(service: string, options?: { readonly since?: Position | undefined }): Promise<RegistryUpdate>;
  renew(beats: readonly Beat[]): Promise<Renewal>;
  deregister(lease: Lease): Promise<Deregistration>;
  services(options?: Partial<CallOptions>): Promise<readonly string[]>;
  /** The live lease of that id. */
  lease(id: string): Lease | undefined;
  /** Instances of a service that failed within the last five minutes. */
  failed(service: string): readonly ServiceInstance[];
}
