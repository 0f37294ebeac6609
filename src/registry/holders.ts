import type { DeclaredStatus, ServiceInstance } from "../model/instance.js";
import { inStatus, sameInstance } from "../model/instance.js";
import type { RemovalReason } from "../model/update.js";
import type { Clock, Random } from "../runtime/clock.js";
import type { Catalog } from "./catalog.js";
import type { HeldInstance } from "./held-instance.js";
import { LeaseTable } from "./lease-table.js";
import type { MemoryReports } from "./memory-events.js";
import { Preservation } from "./preservation.js";
import { Recent } from "./recent.js";
import type { ObservedStatus } from "./status.js";
import type { SuspectProbes } from "./suspect-probes.js";

/** How many ended leases are remembered, so that a late beat learns why. */
const ENDED = 10_000;

/** What the holders of leases need around them. */
export interface Surroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly probes: SuspectProbes | undefined;
  readonly catalog: Catalog;
  readonly reports: MemoryReports;
  /** Something changed that a snapshot would hold. */
  readonly changed: () => void;
}

/** Whoever holds a lease, from entering to leaving: what befalls them is published, counted and told here. */
export class Holders {
  readonly #catalog: Catalog;
  readonly #reports: MemoryReports;
  readonly #changed: () => void;
  readonly #leases: LeaseTable<HeldInstance>;
  readonly #preservation: Preservation;
  readonly #ended = new Recent<RemovalReason>(ENDED);

  constructor({ clock, random, probes, catalog, reports, changed }: Surroundings) {
    this.#catalog = catalog;
    this.#reports = reports;
    this.#changed = changed;
    this.#preservation = new Preservation(random, this.#keeper(), probes);
    this.#leases = new LeaseTable(clock, {
      late: (held) => this.#late(held),
      due: (due, now) => this.#preservation.judge(due, now),
    });
  }

  get size(): number {
    return this.#leases.size;
  }

  get suspects(): number {
    return this.#preservation.suspects;
  }

  get(leaseId: string): HeldInstance | undefined {
    return this.#leases.get(leaseId);
  }

  values(): IterableIterator<HeldInstance> {
    return this.#leases.values();
  }

  /** Why a lease is no longer known, if that is remembered. */
  whyEnded(leaseId: string): string {
    return this.#ended.get(leaseId) ?? "unknown";
  }

  /** Whether a newer holder of the same id may have its place: always on the same address, else when its ttl is over. */
  givesWay(earlier: HeldInstance, { host, port }: ServiceInstance): boolean {
    const { instance } = earlier;
    return (instance.host === host && instance.port === port) || this.#preservation.isSuspect(earlier);
  }

  /** Whether a registration is one that came before: doubled on its way, or asked again because its answer was lost. */
  isAgain({ holder, instance }: HeldInstance, { host, port }: ServiceInstance, by: string | undefined): boolean {
    return by !== undefined && by === holder && instance.host === host && instance.port === port;
  }

  /** Whether whoever registers has left for good: late, its registration would list the dead. */
  hasLeft(holder: string | undefined): boolean {
    return holder !== undefined && this.#ended.get(holder) === "deregistered";
  }

  /** Whether a newer holder has its place: as long as that lives, it does not come back. */
  isOutlived(holder: string | undefined, present: HeldInstance): boolean {
    const gaveWay = holder !== undefined && this.#ended.get(holder) === "replaced";
    return gaveWay && !this.#preservation.isSuspect(present);
  }

  /** Begins a life, in the place of an earlier one of the same id. */
  enter(held: HeldInstance, earlier: HeldInstance | undefined): void {
    if (earlier) this.#endLease(earlier, "replaced");
    this.#leases.grant(held);
    const hadFailed = this.#catalog.put(held);
    this.#changed();
    if (hadFailed) this.#reports.tellRecovered(held.instance, "failed");
    if (!earlier) return;
    this.#reports.counters.replaced++;
    this.#preservation.clear(earlier, true);
  }

  beat(held: HeldInstance, declared: DeclaredStatus | undefined): void {
    this.#reports.counters.renewed++;
    held.beat(this.#leases.renew(held));
    if (declared) held.declare(declared);
    this.#observed(held, "beat");
    this.#preservation.clear(held, true);
  }

  update(held: HeldInstance, fields: ServiceInstance, edition = held.edition): void {
    if (edition < held.edition) return; // newer is known
    held.edition = edition;
    this.#reports.counters.updated++;
    this.#publish(held, held.with(fields), "beat");
  }

  observe(held: HeldInstance, seen: ObservedStatus): void {
    held.probed(seen);
    this.#preservation.found(held, seen === "failed" ? "refused" : "alive");
    if (this.#leases.get(held.leaseId) === held) this.#observed(held, "probe");
  }

  leave(held: HeldInstance): void {
    this.#reports.counters.deregistered++;
    this.#end(held, "deregistered");
    this.#preservation.clear(held, false);
  }

  /** Lets the suspects of a service go. Returns how many. */
  release(service: string): number {
    return this.#preservation.release(service, this.#leases.now());
  }

  close(): void {
    this.#leases.close();
    this.#preservation.close();
  }

  #keeper() {
    const reports = this.#reports;
    const catalog = this.#catalog;
    return {
      held: (service: string) => catalog.held(service),
      expire: (held: HeldInstance) => this.#expire(held),
      suspect: (held: HeldInstance) => {
        reports.counters.preserved++;
        this.#late(held);
      },
      preserved: (service: string, suspects: number) =>
        reports.tellPreserved(service, suspects, catalog.listed(service)),
      released: (service: string, returned: number, gone: number) => reports.tellReleased(service, returned, gone),
    };
  }

  #late(held: HeldInstance): void {
    held.late();
    this.#observed(held, "beat");
  }

  /** Publishes what is declared and seen by now, if that is something else. */
  #observed(held: HeldInstance, why: "beat" | "probe"): void {
    const { status } = held;
    if (status !== held.instance.status) this.#publish(held, inStatus(held.instance, status), why);
  }

  #publish(held: HeldInstance, instance: ServiceInstance, why: "beat" | "probe"): void {
    const before = held.instance;
    if (sameInstance(before, instance)) return;
    held.instance = instance;
    if (instance.status !== "failed") {
      this.#catalog.put(held);
      this.#reports.tellStatus(before.status, instance, why);
    } else if (before.status !== "failed") {
      this.#catalog.unlist(held);
      this.#reports.counters.probeFailed++;
      this.#reports.tellFailed(before, "probe_failed", this.#catalog.listed(before.service));
    }
    this.#changed();
  }

  /** A lease ran out, unless whoever heard of another one's end has ended it meanwhile. */
  #expire(held: HeldInstance): void {
    if (this.#leases.get(held.leaseId) !== held) return;
    const { instance, unlisted } = held;
    this.#reports.counters.expired++;
    this.#end(held, "expired");
    if (!unlisted) this.#reports.tellFailed(instance, "expired", this.#catalog.listed(instance.service));
    this.#preservation.clear(held, false); // last: it may have something to tell as well
  }

  #end(held: HeldInstance, reason: RemovalReason): void {
    this.#endLease(held, reason);
    this.#catalog.remove(held, reason);
    this.#changed();
  }

  #endLease(held: HeldInstance, reason: RemovalReason): void {
    this.#leases.end(held);
    this.#ended.set(held.leaseId, reason);
    const isFinal = reason === "deregistered" || reason === "replaced";
    if (isFinal && held.holder !== undefined) this.#ended.set(held.holder, reason);
  }
}
