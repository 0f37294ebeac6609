import { randomBytes } from "node:crypto";
import { DiscoveryError } from "../model/errors.js";
import { numberIn } from "../model/fields.js";
import { type DeclaredStatus, enlisted, inStatus, type ServiceInstance, sameInstance } from "../model/instance.js";
import type { Position, RegistryUpdate, RemovalReason } from "../model/update.js";
import { type Clock, systemClock } from "../runtime/clock.js";
import { durationMs, knownKeys } from "../runtime/options.js";
import { LeaseTable, newLeaseId } from "./lease-table.js";
import type { MemoryRegistry, MemoryRegistryOptions } from "./memory-options.js";
import { Recent } from "./recent.js";
import type { Beat, CallOptions, Deregistration, Lease, Renewal } from "./registry.js";
import { type HeldInstance, ServiceRecord } from "./service-record.js";
import { Waiting } from "./waiting.js";

/** The spec's `ttl` field: 3 s (a lost beat must be survivable) to a day. */
const TTL_MS = { min: 3_000, max: 86_400_000 } as const;
/** Beats per ttl: two may be lost before the lease is. */
const BEATS_PER_TTL = 3;
/** More than any one machine should hold; beyond it, a store made for that is needed. */
const LIMITS = { services: 10_000, instances: 100_000 } as const;
/** A service without instances is forgotten after that long, in milliseconds, when room is needed. */
const FORGET_MS = 5 * 60_000;
/** How many ended leases are remembered, so that a late beat learns why. */
const ENDED = 10_000;

/** Makes an empty registry. @throws {DiscoveryError} `INVALID_OPTION` */
export function memoryRegistry(options: MemoryRegistryOptions = {}): MemoryRegistry {
  knownKeys("memoryRegistry", options, ["clock", "warmingMs", "epoch"]);
  return new Memory(options);
}

class Memory implements MemoryRegistry {
  readonly name = "memory";
  readonly capabilities = {
    watch: "stream",
    lease: "heartbeat",
    reasons: true,
    epoch: true,
    absence: true,
    quietMs: Number.POSITIVE_INFINITY, // in this process nothing can break
  } as const;
  readonly epoch: string;

  readonly #clock: Clock;
  readonly #leases: LeaseTable<HeldInstance>;
  readonly #services = new Map<string, ServiceRecord>();
  readonly #ended = new Recent<RemovalReason>(ENDED);
  readonly #waiting = new Waiting();
  readonly #endWarming: () => void;
  #revision = 0;
  #warming: boolean;
  #closed = false;

  constructor({ clock = systemClock, warmingMs, epoch }: MemoryRegistryOptions) {
    this.#clock = clock;
    this.epoch = epoch ?? randomBytes(8).toString("hex");
    this.#leases = new LeaseTable(clock, (held) => this.#leave(held, "expired"));
    const warmsFor = durationMs("memoryRegistry.warmingMs", warmingMs, 30_000, 0, TTL_MS.max);
    this.#warming = warmsFor > 0;
    this.#endWarming = this.#warming ? clock.schedule(warmsFor, () => this.#warmed()) : () => {};
  }

  get revision(): number {
    return this.#revision;
  }

  get warming(): boolean {
    return this.#warming;
  }

  get size(): number {
    return this.#leases.size;
  }

  async register(instance: ServiceInstance, { ttlMs }: CallOptions & { ttlMs: number }): Promise<Lease> {
    this.#open();
    numberIn("ttlMs", ttlMs, TTL_MS.min, TTL_MS.max);
    const earlier = this.#services.get(instance.service)?.holders.get(instance.id);
    if (earlier) this.#giveWay(earlier, instance);
    else if (this.#leases.size >= LIMITS.instances) throw full(`${LIMITS.instances} instances`);
    const record = this.#recordFor(instance.service);
    const incarnation = ++this.#revision;
    const life = enlisted(instance, { ttlMs, registeredAt: this.#clock.wall(), incarnation });
    const held = { leaseId: newLeaseId(), ttlMs, instance: life };
    this.#leases.grant(held);
    record.put(held, incarnation);
    this.#waiting.wake(life.service);
    return this.#leaseOf(held, earlier !== undefined);
  }

  async renew(beats: readonly Beat[]): Promise<Renewal> {
    this.#open();
    const unknown: { lease: Lease; reason: string }[] = [];
    for (const { lease, status } of beats) {
      const held = this.#leases.get(lease.id);
      if (!held) {
        unknown.push({ lease, reason: this.#ended.get(lease.id) ?? "unknown" });
        continue;
      }
      this.#leases.renew(lease.id);
      if (status) this.#declare(held, status);
    }
    return { unknown, epoch: this.epoch };
  }

  async update(lease: Lease, instance: ServiceInstance): Promise<Lease> {
    this.#open();
    const held = this.#leases.get(lease.id);
    if (!held) throw new DiscoveryError("LEASE_LOST", `No such lease: ${this.#ended.get(lease.id) ?? "unknown"}`);
    const { ttlMs, registeredAt, incarnation } = held.instance;
    const next = enlisted(instance, { ttlMs, registeredAt, incarnation });
    if (!isSameHolder(next, held.instance) || !sameAddress(next, held.instance)) {
      throw new DiscoveryError("INVALID_OPTION", "An update changes neither id, service, host nor port", {
        field: "id",
      });
    }
    return this.#leaseOf(this.#publish(held, next), false);
  }

  async deregister(lease: Lease): Promise<Deregistration> {
    const held = this.#leases.get(lease.id);
    if (held) {
      this.#leases.end(lease.id);
      this.#leave(held, "deregistered");
    }
    return { acked: 0, waiting: 0 };
  }

  async list(service: string, { since }: { since?: Position | undefined } = {}): Promise<RegistryUpdate> {
    this.#open();
    return this.#warming ? this.#snapshot(service) : this.#after(service, since);
  }

  async *watch(
    service: string,
    { since, signal }: CallOptions & { since?: Position | undefined },
  ): AsyncGenerator<RegistryUpdate> {
    let position = since;
    let sawWarming: boolean | undefined;
    while (!signal.aborted) {
      this.#open();
      const change = this.#waiting.changeOf(service, signal);
      const first = sawWarming === undefined;
      const warmed = sawWarming === true && !this.#warming;
      const update = warmed ? this.#snapshot(service) : this.#after(service, position);
      sawWarming = this.#warming;
      if (first || warmed || update.type === "reset" || update.type === "change") yield update;
      if (update.type !== "absent") position = update.position;
      await change;
    }
  }

  async services(): Promise<readonly string[]> {
    this.#open();
    return [...this.#services.keys()].sort();
  }

  lease(id: string): Lease | undefined {
    const held = this.#leases.get(id);
    return held && this.#leaseOf(held, false);
  }

  failed(service: string): readonly ServiceInstance[] {
    const failed = this.#services.get(service)?.failed(this.#clock.now()) ?? [];
    return failed.map((instance) => inStatus(instance, "failed"));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#endWarming();
    this.#leases.close();
    this.#waiting.wakeAll();
  }

  #open(): void {
    if (this.#closed) throw new DiscoveryError("CLOSED", "This memory registry was closed");
  }

  #snapshot(service: string): RegistryUpdate {
    const record = this.#services.get(service);
    const { epoch } = this;
    const warming = this.#warming;
    if (!record) return { type: "absent", epoch, warming };
    return { type: "reset", instances: record.list(), position: this.#positionOf(record.revision), epoch, warming };
  }

  #after(service: string, since: Position | undefined): RegistryUpdate {
    const record = this.#services.get(service);
    const revision = this.#revisionIn(since);
    if (!record || revision === undefined) return this.#snapshot(service);
    const position = this.#positionOf(record.revision);
    if (revision === record.revision) return { type: "current", position, epoch: this.epoch };
    const changes = record.changesAfter(revision);
    return changes ? { type: "change", ...changes, since, position, epoch: this.epoch } : this.#snapshot(service);
  }

  #positionOf(revision: number): Position {
    return `${this.epoch}:${revision}`;
  }

  /** The revision in one of our positions; undefined for one of another life. */
  #revisionIn(position: Position | undefined): number | undefined {
    if (!position?.startsWith(`${this.epoch}:`)) return undefined;
    const revision = Number(position.slice(this.epoch.length + 1));
    return Number.isSafeInteger(revision) ? revision : undefined;
  }

  #leaseOf({ leaseId: id, ttlMs, instance }: HeldInstance, replaced: boolean): Lease {
    return { id, instance, ttlMs, heartbeatMs: ttlMs / BEATS_PER_TTL, epoch: this.epoch, replaced };
  }

  /** The newer holder of an id takes over on the same address; on another it is refused. */
  #giveWay(earlier: HeldInstance, newer: ServiceInstance): void {
    if (!sameAddress(earlier.instance, newer)) {
      const { id, host, port } = earlier.instance;
      throw new DiscoveryError("ID_CONFLICT", `The id ${id} is held by a live instance at ${host} port ${port}`, {
        service: newer.service,
        field: "id",
      });
    }
    this.#leases.end(earlier.leaseId);
    this.#remember(earlier.leaseId, "replaced");
  }

  #declare(held: HeldInstance, status: DeclaredStatus): void {
    if (held.instance.status !== status) this.#publish(held, inStatus(held.instance, status));
  }

  #publish(held: HeldInstance, instance: ServiceInstance): HeldInstance {
    if (sameInstance(held.instance, instance)) return held;
    const next = { ...held, instance };
    this.#leases.replace(next);
    this.#recordFor(instance.service).put(next, ++this.#revision);
    this.#waiting.wake(instance.service);
    return next;
  }

  #leave({ leaseId, instance }: HeldInstance, reason: RemovalReason): void {
    this.#remember(leaseId, reason);
    this.#recordFor(instance.service).remove(instance, reason, ++this.#revision, this.#clock.now());
    this.#waiting.wake(instance.service);
  }

  #remember(leaseId: string, reason: RemovalReason): void {
    this.#ended.set(leaseId, reason);
  }

  #recordFor(service: string): ServiceRecord {
    let record = this.#services.get(service);
    if (!record) {
      this.#makeRoom();
      record = new ServiceRecord(this.#revision, this.#clock.now());
      this.#services.set(service, record);
    }
    return record;
  }

  #makeRoom(): void {
    if (this.#services.size < LIMITS.services) return;
    const now = this.#clock.now();
    for (const [name, { holders, emptySince }] of this.#services) {
      if (holders.size === 0 && now - emptySince > FORGET_MS) this.#services.delete(name);
    }
    if (this.#services.size >= LIMITS.services) throw full(`${LIMITS.services} services`);
  }

  #warmed(): void {
    this.#warming = false;
    this.#waiting.wakeAll();
  }
}

/** An id is unique within its service. */
function isSameHolder(a: ServiceInstance, b: ServiceInstance): boolean {
  return a.id === b.id && a.service === b.service;
}

function sameAddress(a: ServiceInstance, b: ServiceInstance): boolean {
  return a.host === b.host && a.port === b.port;
}

function full(what: string): DiscoveryError {
  return new DiscoveryError("OVERLOADED", `This registry holds no more than ${what}`);
}
