import { randomBytes } from "node:crypto";
import { DiscoveryError } from "../model/errors.js";
import { numberIn } from "../model/fields.js";
import type { InstanceStatus, ServiceInstance } from "../model/instance.js";
import type { Position, RegistryUpdate } from "../model/update.js";
import { type Clock, systemClock, systemRandom } from "../runtime/clock.js";
import { durationMs, functionOr, knownKeys } from "../runtime/options.js";
import { Catalog } from "./catalog.js";
import { HeldInstance } from "./held-instance.js";
import { Holders } from "./holders.js";
import { BEATS_PER_TTL } from "./lease-table.js";
import { MemoryReports } from "./memory-events.js";
import type { CheckedLease, MemoryRegistry, MemoryRegistryOptions } from "./memory-options.js";
import type { Beat, CallOptions, Deregistration, Edition, Lease, RegisterOptions, Renewal } from "./registry.js";
import { encoded, type SavedLeases } from "./snapshot-file.js";
import { SnapshotKeeper } from "./snapshot-keeper.js";
import type { ObservedStatus } from "./status.js";
import { SuspectProbes } from "./suspect-probes.js";

/** The spec's `ttl` field: 3 s (a lost beat must be survivable) to a day. */
const TTL_MS = { min: 3_000, max: 86_400_000 } as const;
/** More than any one machine should hold; beyond it, a store made for that is needed. */
const MAX_INSTANCES = 100_000;
/** No life of a registry changes so much after its last snapshot: the next one's incarnations are all new. */
const LEAP = 1_000_000;
const OPTIONS = ["clock", "random", "warmingMs", "epoch", "probe", "alarm", "snapshot"];

/**
 * Makes a registry in memory: empty, or with the leases of a snapshot. One that cannot be used is told by the event
 * `snapshotFailed` and left alone until the first change.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function memoryRegistry(options: MemoryRegistryOptions = {}): MemoryRegistry {
  knownKeys("memoryRegistry", options, OPTIONS);
  return new Memory(options);
}

class Memory extends MemoryReports implements MemoryRegistry {
  readonly name = "memory";
  readonly capabilities = {
    watch: "stream",
    lease: "heartbeat",
    reasons: true,
    epoch: true,
    absence: true,
    quietMs: Number.POSITIVE_INFINITY, // in this process nothing can break
  } as const;

  readonly #clock: Clock;
  readonly #catalog: Catalog;
  readonly #holders: Holders;
  readonly #snapshots: SnapshotKeeper | undefined;
  readonly #endWarming: () => void;
  #closing: Promise<void> | undefined;

  constructor({ clock = systemClock, random = systemRandom, snapshot, ...options }: MemoryRegistryOptions) {
    super();
    this.#clock = clock;
    const probe = functionOr("memoryRegistry.probe", options.probe, undefined);
    const alarm = functionOr("memoryRegistry.alarm", options.alarm, undefined);
    if (alarm) this.on("failed", alarm);
    const keeper = snapshot && new SnapshotKeeper(snapshot, clock, (...failure) => this.tellSnapshotFailed(...failure));
    const saved = keeper?.read();
    const catalog = new Catalog(
      options.epoch ?? randomBytes(8).toString("hex"),
      saved ? saved.revision + LEAP : 0,
      clock,
    );
    const probes = probe && new SuspectProbes(probe, clock);
    const changed = () => this.#snapshots?.changed();
    this.#catalog = catalog;
    this.#holders = new Holders({ clock, random, probes, catalog, reports: this, changed });
    if (saved) this.#restore(saved);
    keeper?.keep(() => encoded(this.revision, this.#holders.values()));
    this.#snapshots = keeper;
    const warmsFor = durationMs("memoryRegistry.warmingMs", options.warmingMs, 30_000, 0, TTL_MS.max);
    catalog.warming = warmsFor > 0;
    this.#endWarming = warmsFor > 0 ? clock.schedule(warmsFor, () => catalog.warmed()) : () => {};
  }

  get epoch(): string {
    return this.#catalog.epoch;
  }

  get revision(): number {
    return this.#catalog.revision;
  }

  get warming(): boolean {
    return this.#catalog.warming;
  }

  get size(): number {
    return this.#holders.size;
  }

  get suspects(): number {
    return this.#holders.suspects;
  }

  async register(instance: ServiceInstance, options: RegisterOptions): Promise<Lease> {
    const { ttlMs, health, holder, edition } = options;
    this.#catalog.checkOpen();
    numberIn("ttlMs", ttlMs, TTL_MS.min, TTL_MS.max);
    const { service, id } = instance;
    const earlier = this.#catalog.holder(service, id);
    if (earlier && this.#holders.isAgain(earlier, instance, holder)) {
      this.#holders.beat(earlier, undefined);
      this.#holders.update(earlier, instance, edition);
      return this.#leaseOf(earlier, true);
    }
    if (this.#holders.hasLeft(holder))
      throw new DiscoveryError("REJECTED", `${id} has left: it came late`, { service });
    if (earlier && (!this.#holders.givesWay(earlier, instance) || this.#holders.isOutlived(holder, earlier))) {
      throw this.#conflict(earlier);
    }
    if (!earlier && this.size >= MAX_INSTANCES) {
      throw new DiscoveryError("OVERLOADED", `This registry holds no more than ${MAX_INSTANCES} instances`);
    }
    const { latest } = this.#catalog.make(service);
    const incarnation = this.revision + 1;
    const life = { ttlMs, health, holder, edition, incarnation, registeredAt: this.#clock.wall() }; // spread, it is slow
    const held = new HeldInstance(instance, life, latest);
    this.counters.registered++;
    this.#holders.enter(held, earlier);
    return this.#leaseOf(held, earlier !== undefined);
  }

  async renew(beats: readonly Beat[]): Promise<Renewal> {
    this.#catalog.checkOpen();
    const unknown: { lease: Lease; reason: string }[] = [];
    let statuses: Map<string, InstanceStatus> | undefined; // of those that are not healthy: most often nobody
    for (const { lease, status } of beats) {
      const held = this.#holders.get(lease.id);
      if (!held) {
        unknown.push({ lease, reason: this.#holders.whyEnded(lease.id) });
        continue;
      }
      this.#holders.beat(held, status);
      if (held.instance.status === "healthy") continue;
      statuses ??= new Map();
      statuses.set(lease.id, held.instance.status);
    }
    return { unknown, statuses, epoch: this.epoch };
  }

  async update(lease: Lease, instance: ServiceInstance, { edition }: Edition = {}): Promise<Lease> {
    this.#catalog.checkOpen();
    const held = this.#holders.get(lease.id);
    if (!held) throw new DiscoveryError("LEASE_LOST", `No such lease: ${this.#holders.whyEnded(lease.id)}`);
    const { id, service, host, port } = held.instance;
    if (instance.id !== id || instance.service !== service || instance.host !== host || instance.port !== port) {
      const message = "An update changes neither id, service, host nor port";
      throw new DiscoveryError("INVALID_OPTION", message, { field: "id" });
    }
    this.#holders.update(held, instance, edition);
    return this.#leaseOf(held, false);
  }

  async deregister(lease: Lease): Promise<Deregistration> {
    const held = this.#holders.get(lease.id);
    if (held) this.#holders.leave(held);
    return { acked: 0, waiting: 0 };
  }

  async list(service: string, { since }: { since?: Position | undefined } = {}): Promise<RegistryUpdate> {
    this.#catalog.checkOpen();
    return this.#catalog.list(service, since);
  }

  watch(service: string, { since, signal }: CallOptions & { since?: Position | undefined }) {
    return this.#catalog.watch(service, since, signal);
  }

  async services(): Promise<readonly string[]> {
    this.#catalog.checkOpen();
    return this.#catalog.names();
  }

  lease(id: string): Lease | undefined {
    const held = this.#holders.get(id);
    return held && this.#leaseOf(held, false);
  }

  failed(service: string): readonly ServiceInstance[] {
    return this.#catalog.failed(service);
  }

  checks(): readonly CheckedLease[] {
    const checks: CheckedLease[] = [];
    for (const held of this.#holders.values()) {
      if (held.health) checks.push({ lease: this.#leaseOf(held, false), health: held.health });
    }
    return checks;
  }

  observe(leaseId: string, seen: ObservedStatus): void {
    const held = this.#holders.get(leaseId);
    if (held) this.#holders.observe(held, seen);
  }

  release(service: string): number {
    return this.#holders.release(service);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#endWarming();
    this.#holders.close();
    this.#catalog.close();
    await this.#snapshots?.close();
  }

  /** Every lease of the former life begins its ttl anew. */
  #restore({ leases }: SavedLeases): void {
    for (const { instance, ...lease } of leases) {
      const { incarnation, registeredAt = 0, service } = instance;
      const { latest } = this.#catalog.make(service);
      this.#holders.enter(new HeldInstance(instance, { ...lease, incarnation, registeredAt }, latest), undefined);
    }
    this.counters.restored = leases.length;
  }

  #leaseOf({ leaseId: id, ttlMs, instance }: HeldInstance, replaced: boolean): Lease {
    return { id, instance, ttlMs, heartbeatMs: ttlMs / BEATS_PER_TTL, epoch: this.epoch, replaced };
  }

  #conflict({ instance: { id, service, host, port } }: HeldInstance): DiscoveryError {
    this.counters.conflicts++;
    const message = `The id ${id} is held by a live instance at ${host} port ${port}`;
    return new DiscoveryError("ID_CONFLICT", message, { service, field: "id" });
  }
}
