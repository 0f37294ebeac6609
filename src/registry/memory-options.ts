import type { ServiceInstance } from "../model/instance.js";
import type { Position, RegistryUpdate } from "../model/update.js";
import type { Clock, Random } from "../runtime/clock.js";
import type { Emitter } from "../runtime/emitter.js";
import type { InstanceFailure, MemoryRegistryCounters, MemoryRegistryEvents } from "./memory-events.js";
import type { Beat, CallOptions, Deregistration, Edition, HealthCheck, Lease, Registry, Renewal } from "./registry.js";
import type { ObservedStatus } from "./status.js";
import type { SuspectProbe } from "./suspect-probes.js";

/** How a memory registry behaves. */
export interface MemoryRegistryOptions {
  /** @default the real clock */
  readonly clock?: Clock;
  /** Draws who goes first when many leases end at once. @default Math.random */
  readonly random?: Random;
  /**
   * How long after its start it says `warming`, in milliseconds: it knows nobody yet, so absence proves nothing.
   *
   * @default 30_000, the default ttl: every agent alive beats within it
   */
  readonly warmingMs?: number;
  /** Names this life of the registry. @default random */
  readonly epoch?: string;
  /**
   * Asked about instances whose beats stopped together with those of many others. It should answer within seconds; one
   * that throws knows nothing.
   *
   * @default nobody is asked: suspects leave by and by
   */
  readonly probe?: SuspectProbe;
  /** Called with every instance that fails: the place to page somebody. What it throws hurts nobody. */
  readonly alarm?: (failure: InstanceFailure) => void;
  /** Keeps the leases on disk, so that a restart forgets nobody. @default memory alone */
  readonly snapshot?: LeaseSnapshotOptions;
}

/** Where a memory registry keeps its leases over a restart. */
export interface LeaseSnapshotOptions {
  /** The file. Its folder exists and belongs to this process alone: the file holds every lease's secret. */
  readonly path: string;
  /**
   * The least time from one writing to the next, in milliseconds. What happened within it is lost by a crash: who
   * registered then registers again; who left then may be back until its ttl is over.
   *
   * @default 1_000
   */
  readonly everyMs?: number;
}

/** An instance that asked to be probed. */
export interface CheckedLease {
  readonly lease: Lease;
  readonly health: HealthCheck;
}

/** A registry in this process's memory: the reference for all others, and what the embedded server serves. */
export interface MemoryRegistry extends Registry, Emitter<MemoryRegistryEvents> {
  readonly epoch: string;
  /** Rises by one with every change. */
  readonly revision: number;
  readonly warming: boolean;
  /** How many leases are alive. */
  readonly size: number;
  /** How many instances are listed although their lease is over, because too many ended with them. */
  readonly suspects: number;
  /** What has happened so far. */
  readonly counters: MemoryRegistryCounters;
  watch(
    service: string,
    options: CallOptions & { readonly since?: Position | undefined },
  ): AsyncIterableIterator<RegistryUpdate>;
  list(service: string, options?: { readonly since?: Position | undefined }): Promise<RegistryUpdate>;
  renew(beats: readonly Beat[]): Promise<Renewal>;
  update(lease: Lease, instance: ServiceInstance, options?: Partial<CallOptions> & Edition): Promise<Lease>;
  deregister(lease: Lease): Promise<Deregistration>;
  services(options?: Partial<CallOptions>): Promise<readonly string[]>;
  /** The live lease of that id. Its instance is `failed` if probes have failed and it is no longer listed. */
  lease(id: string): Lease | undefined;
  /** Instances of a service that failed: by probes and not recovered, or by their ttl within the last five minutes. */
  failed(service: string): readonly ServiceInstance[];
  /** Everybody who asked to be probed; after a restart with a snapshot also those who asked before. */
  checks(): readonly CheckedLease[];
  /**
   * What a prober sees of an instance; until it says otherwise, healthy. `failed` unlists the instance and keeps its
   * lease. A lease that has ended is nobody's concern.
   */
  observe(leaseId: string, seen: ObservedStatus): void;
  /**
   * Lets a service's suspects go, and for the next 10 seconds everybody whose lease ends: for whoever knows that they are
   * gone for good. Returns how many went.
   */
  release(service: string): number;
}
