import { DiscoveryError } from "../model/errors.js";
import type { InstanceStatus } from "../model/instance.js";
import type { Beat, Lease, Renewal } from "../registry/registry.js";
import type { EtcdClient } from "./etcd-client.js";
import type { EtcdKeys } from "./etcd-keys.js";
import { type EtcdLeases, type LeaseName, readName } from "./etcd-leases.js";
import { type EtcdReads, rangesIn } from "./etcd-reads.js";
import { type KeyValue, keyValues } from "./etcd-record.js";
import { type EtcdRegistrations, readable } from "./etcd-registrations.js";
import { inLanes } from "./lanes.js";

/** Instances that one transaction looks after: etcd allows 128 operations in one. */
const BATCH = 100;
/** Leases of etcd that are renewed at the same time. */
const PARALLEL = 16;

interface Named {
  readonly beat: Beat;
  readonly name: LeaseName;
}

/** What stands under the id of a lease. */
interface Standing {
  readonly own: KeyValue | undefined;
  readonly isReplaced: boolean;
}

/**
 * Heartbeats: a keepalive for each lease of etcd, and one look at whether the registrations are still there, since a
 * lease outlives those of its instances that were replaced or taken out.
 */
export class EtcdBeats {
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #leases: EtcdLeases;
  readonly #reads: EtcdReads;
  readonly #registrations: EtcdRegistrations;

  constructor(
    client: EtcdClient,
    keys: EtcdKeys,
    leases: EtcdLeases,
    reads: EtcdReads,
    registrations: EtcdRegistrations,
  ) {
    this.#client = client;
    this.#keys = keys;
    this.#leases = leases;
    this.#reads = reads;
    this.#registrations = registrations;
  }

  async renew(beats: readonly Beat[], signal: AbortSignal): Promise<Renewal> {
    const unknown: Renewal["unknown"][number][] = [];
    const statuses = new Map<string, InstanceStatus>();
    const named: Named[] = [];
    for (const beat of beats) {
      const name = readName(beat.lease);
      if (name) named.push({ beat, name });
      else unknown.push({ lease: beat.lease, reason: "unknown" });
    }
    const ids = new Set(named.map(({ name }) => name.etcd));
    const [alive, { standings, epoch }] = await Promise.all([this.#keepAlive(ids, signal), this.#look(named, signal)]);
    for (const [index, each] of named.entries()) {
      const { lease } = each.beat;
      const { own, isReplaced } = standings[index] as Standing;
      const lives = own !== undefined && alive.has(each.name.etcd);
      if (lives) statuses.set(lease.id, await this.#told(each, own, signal));
      else
        unknown.push({
          lease,
          reason: isReplaced ? "replaced" : own || alive.has(each.name.etcd) ? "deregistered" : "expired",
        });
    }
    for (const id of ids) if (alive.has(id)) await this.#registrations.settle(id, signal);
    return { unknown, statuses, epoch };
  }

  /** Which of them still are; one that is refused does not cost the others their beat, unless all are. */
  async #keepAlive(ids: ReadonlySet<string>, signal: AbortSignal): Promise<ReadonlySet<string>> {
    const alive = new Set<string>();
    await inLanes([...ids], PARALLEL, async (id) => {
      if (await this.#leases.keepAlive(id, signal)) alive.add(id);
      else this.#registrations.lost(id);
    });
    return alive;
  }

  async #look(named: readonly Named[], signal: AbortSignal) {
    const standings: Standing[] = [];
    let epoch: string | undefined;
    for (let start = 0; start < named.length; start += BATCH) {
      const some = named.slice(start, start + BATCH);
      const looks = some.map(({ beat }) => this.#keys.lives(beat.lease.instance.service, beat.lease.instance.id));
      const success = [{ key: this.#keys.epoch }, ...looks].map((request_range) => ({ request_range }));
      const answer = await this.#client.call("/v3/kv/txn", { success }, signal);
      const [held, ...found] = rangesIn(answer);
      epoch = (await this.#reads.epochIn(answer, held, signal)).epoch;
      for (const [index, each] of some.entries()) standings.push(this.#standingOf(each, keyValues(found[index])));
    }
    return { standings, epoch };
  }

  #standingOf({ beat, name }: Named, kvs: readonly KeyValue[]): Standing {
    const { service, id } = beat.lease.instance;
    const key = this.#keys.life({ service, id, life: name.life });
    const own = kvs.find((kv) => kv.key === key);
    return { own, isReplaced: !own && kvs.length > 0 };
  }

  /** The status that is published now: what the beat declares is written if it is new. */
  async #told({ beat, name }: Named, own: KeyValue, signal: AbortSignal): Promise<InstanceStatus> {
    const { lease, status } = beat;
    const { service, id } = lease.instance;
    const now = readable(own, { service, id, life: name.life });
    if (!now || status === undefined || now.status === status) return now?.status ?? "healthy";
    await this.#registrations.declare(own, name, now, status, signal);
    return status;
  }

  /** What stands in etcd of a lease; undefined if its life has ended. */
  async held(lease: Lease, signal: AbortSignal): Promise<Lease | undefined> {
    const name = readName(lease);
    if (!name) throw new DiscoveryError("LEASE_LOST", `${this.#client.name} never granted such a lease`);
    const { service, id } = lease.instance;
    const life = { service, id, life: name.life };
    const [kv] = keyValues(await this.#client.call("/v3/kv/range", { key: this.#keys.life(life) }, signal));
    const instance = kv && readable(kv, life);
    return instance && { ...lease, instance };
  }
}
