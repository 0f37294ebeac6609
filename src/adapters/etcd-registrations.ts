import { DiscoveryError } from "../model/errors.js";
import { invalid, numberIn } from "../model/fields.js";
import { type DeclaredStatus, enlisted, inStatus, type ServiceInstance } from "../model/instance.js";
import type { Lease, RegisterOptions } from "../registry/registry.js";
import type { Clock } from "../runtime/clock.js";
import { untilAborted } from "../runtime/deadline.js";
import type { EtcdClient, Fields } from "./etcd-client.js";
import { type Entry, EtcdEntries } from "./etcd-entries.js";
import type { EtcdKeys, Life } from "./etcd-keys.js";
import { base64 } from "./etcd-keys.js";
import { type EtcdLease, type EtcdLeases, nameOf, newLife, readName } from "./etcd-leases.js";
import { type EtcdReads, rangesIn } from "./etcd-reads.js";
import { fromEtcd, type KeyValue, keyValues, numberOf, revisionIn, toEtcd } from "./etcd-record.js";

/** A second is etcd's unit, and it makes two of one; above a day a lease is none. */
const TTL_MS = { min: 1_000, max: 86_400_000 } as const;
const BEATS_PER_TTL = 3;
/** Others may come in between so many times; then somebody else tries for the same id without end. */
const TRIES = 5;

/** Who holds an id, as etcd tells it. */
interface Holder {
  readonly kv: KeyValue;
  readonly life: string;
  /** Undefined if it cannot be read. */
  readonly instance: ServiceInstance | undefined;
}

/** Enters instances, changes them and takes them out: each in one transaction that concerns one life and no other. */
export class EtcdRegistrations {
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #entries: EtcdEntries;
  readonly #leases: EtcdLeases;
  readonly #reads: EtcdReads;
  readonly #clock: Clock;
  /** Lives that may stand in etcd against our will, because an answer is missing; by the lease that keeps them there. */
  readonly #unsure = new Map<string, Map<string, Life>>();

  constructor(client: EtcdClient, keys: EtcdKeys, leases: EtcdLeases, reads: EtcdReads, clock: Clock) {
    this.#client = client;
    this.#keys = keys;
    this.#entries = new EtcdEntries(client, keys, clock);
    this.#leases = leases;
    this.#reads = reads;
    this.#clock = clock;
  }

  async register(instance: ServiceInstance, { ttlMs, alone = false, signal }: RegisterOptions): Promise<Lease> {
    numberIn("ttlMs", ttlMs, TTL_MS.min, TTL_MS.max);
    const lease = await this.#entries.after(this.#leases.for(ttlMs, alone, signal));
    try {
      return await this.#enter(instance, lease, signal);
    } catch (error) {
      if (!DiscoveryError.is(error, "LEASE_LOST") || alone) throw error;
      this.#leases.forget(lease.id); // nobody has renewed it for long
      this.lost(lease.id);
      return this.#enter(instance, await this.#leases.for(ttlMs, alone, signal), signal);
    }
  }

  /** @throws {DiscoveryError} `LEASE_LOST` if that life has ended */
  async update(lease: Lease, instance: ServiceInstance, signal: AbortSignal): Promise<Lease> {
    if (!isSameHolder(instance, lease.instance)) {
      throw invalid("update", instance.id, "of the same id, service, host and port as the registration");
    }
    const name = readName(lease);
    const { registeredAt = this.#clock.wall(), incarnation } = lease.instance;
    const next = enlisted(instance, { ttlMs: lease.ttlMs, registeredAt, incarnation });
    if (name) {
      const key = this.#keys.life({ service: next.service, id: next.id, life: name.life });
      const put = { request_put: { key, value: toEtcd(next), lease: name.etcd } };
      const done = await this.#client.call("/v3/kv/txn", { compare: [exists(key)], success: [put] }, signal);
      if (done["succeeded"] === true) return { ...lease, instance: next };
    }
    throw new DiscoveryError("LEASE_LOST", `${this.#client.name} no longer knows ${instance.id}`);
  }

  async deregister(lease: Lease, signal: AbortSignal): Promise<void> {
    const { service, id } = lease.instance;
    const name = readName(lease);
    if (!name) return;
    const life = { service, id, life: name.life };
    if (!name.alone) this.#doubt(name.etcd, life); // what keeps the others alive must not keep it
    await this.#takeOut(life, signal);
    this.#trust(name.etcd, life);
    if (name.alone) await this.#leases.revoke(name.etcd, signal);
  }

  /** Says what an instance declares of itself, if nobody has changed it since it was read. */
  async declare(
    read: KeyValue,
    { etcd }: { etcd: string },
    now: ServiceInstance,
    status: DeclaredStatus,
    signal: AbortSignal,
  ) {
    const { key, mod_revision } = read;
    const compare = [{ key, target: "MOD", result: "EQUAL", mod_revision }];
    const success = [{ request_put: { key, value: toEtcd(inStatus(now, status)), lease: etcd } }];
    await this.#client.call("/v3/kv/txn", { compare, success }, signal);
  }

  /** Takes out what hangs on a lease that lives, though it should not. No beat depends on that: what fails is tried again. */
  async settle(etcd: string, signal: AbortSignal): Promise<void> {
    for (const life of [...(this.#unsure.get(etcd)?.values() ?? [])]) {
      try {
        await this.#takeOut(life, signal);
      } catch (error) {
        if (!DiscoveryError.is(error, "UNAUTHORIZED")) return;
      }
      this.#trust(etcd, life); // who may not take it out has not entered it
    }
  }

  /** With a lease, all that hung on it has gone. */
  lost(etcd: string): void {
    this.#unsure.delete(etcd);
  }

  /** One that fails is in doubt as soon as the last question has been answered, be it that nobody waits for that any more. */
  async #enter(instance: ServiceInstance, lease: EtcdLease, signal: AbortSignal): Promise<Lease> {
    const { service, id } = instance;
    const life = { service, id, life: newLife() };
    let answered: Promise<unknown> = Promise.resolve();
    const ask = (entry: Entry): Promise<Fields> => {
      const asked = this.#entries.enter(entry, signal);
      answered = asked.catch(() => {});
      return untilAborted(asked, signal);
    };
    try {
      return await this.#entered(instance, lease, life, ask, signal);
    } catch (error) {
      const isOut = lease.alone || DiscoveryError.is(error, "LEASE_LOST") || DiscoveryError.is(error, "ID_CONFLICT");
      if (!isOut) void answered.then(() => this.#doubt(lease.id, life)); // nobody renews one that failed alone
      throw error;
    }
  }

  async #entered(
    instance: ServiceInstance,
    lease: EtcdLease,
    life: Life,
    ask: (entry: Entry) => Promise<Fields>,
    signal: AbortSignal,
  ): Promise<Lease> {
    const { service, id } = instance;
    const registeredAt = this.#clock.wall();
    const { ttlMs } = lease;
    const value = toEtcd(enlisted(instance, { ttlMs, registeredAt, incarnation: 0 }));
    let earlier: readonly Holder[] = [];
    for (let tried = 0; tried < TRIES; tried++) {
      const entry = { life, value, lease: lease.id, earlier: earlier.map(({ kv }) => kv) };
      const answer = await ask(entry);
      const ranges = rangesIn(answer);
      const holders = answer["succeeded"] === true ? [] : this.#holdersIn(life, ranges[0]);
      const own = holders.find((holder) => holder.life === life.life); // an answer was lost, the question was not
      if (answer["succeeded"] === true || own) {
        const incarnation = own ? numberOf(own.kv.create_revision) : revisionIn(answer);
        const entered = enlisted(instance, { ttlMs, registeredAt, incarnation });
        const { epoch } = await this.#reads.epochIn(answer, ranges.at(-1), signal);
        const replaced = earlier.length > 0;
        return {
          id: nameOf(lease, life.life),
          instance: entered,
          ttlMs,
          heartbeatMs: ttlMs / BEATS_PER_TTL,
          epoch,
          replaced,
        };
      }
      const other = holders.find((holder) => holder.instance && !isSameHolder(holder.instance, instance));
      if (other?.instance) throw this.#conflict(other.instance);
      earlier = holders;
    }
    throw new DiscoveryError("ID_CONFLICT", `Others register as ${id} all the time`, { service, field: "id" });
  }

  #holdersIn({ service }: Life, range: Fields | undefined): readonly Holder[] {
    return keyValues(range).map((kv) => {
      const life = this.#keys.lifeIn(service, kv.key) as Life;
      return { kv, life: life.life, instance: readable(kv, life) };
    });
  }

  #conflict({ id, host, port, service }: ServiceInstance): DiscoveryError {
    const text = `The id ${id} is held by a live instance at ${host} port ${port} of ${this.#client.name}`;
    return new DiscoveryError("ID_CONFLICT", text, { service, field: "id" });
  }

  /** A life that has ended already leaves no note. */
  async #takeOut(life: Life, signal: AbortSignal): Promise<void> {
    const key = this.#keys.life(life);
    const note = { request_put: { key: this.#keys.left(life.service), value: base64(life.id) } };
    const success = [{ request_delete_range: { key } }, note];
    await this.#client.call("/v3/kv/txn", { compare: [exists(key)], success }, signal);
  }

  #doubt(lease: string, life: Life): void {
    const lives = this.#unsure.get(lease) ?? new Map<string, Life>();
    this.#unsure.set(lease, lives.set(life.life, life));
  }

  #trust(lease: string, { life }: Life): void {
    const lives = this.#unsure.get(lease);
    lives?.delete(life);
    if (lives?.size === 0) this.#unsure.delete(lease);
  }
}

/** An instance, if it can be read. */
export function readable(kv: KeyValue, life: Life): ServiceInstance | undefined {
  try {
    return fromEtcd(kv, life);
  } catch {
    return undefined;
  }
}

function exists(key: string) {
  return { key, target: "CREATE", result: "GREATER", create_revision: "0" };
}

function isSameHolder(a: ServiceInstance, b: ServiceInstance): boolean {
  return a.id === b.id && a.service === b.service && a.host === b.host && a.port === b.port;
}
