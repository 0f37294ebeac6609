import { byId, type ServiceInstance } from "../model/instance.js";
import type { RegistryUpdate, Removal, RemovalReason } from "../model/update.js";
import type { HeldInstance } from "./held-instance.js";

/** How many changes of a service can be replayed to a watcher that comes back; beyond that it gets a snapshot. */
const HISTORY = 1_000;
/** How long an instance that failed is remembered, in milliseconds. */
const TOMBSTONE_MS = 5 * 60_000;

interface Change {
  readonly revision: number;
  readonly id: string;
  readonly instance: ServiceInstance | undefined;
  readonly reason: RemovalReason | undefined;
}

interface Tombstone {
  readonly instance: ServiceInstance;
  readonly buriedAt: number;
}

/** One service in a registry's memory: who is there, who was, and what has changed of late. */
export class ServiceRecord {
  /** By the ids of their instances; also those that are held and not listed. */
  readonly holders = new Map<string, HeldInstance>();
  readonly #unlisted = new Map<string, HeldInstance>();
  readonly #tombstones = new Map<string, Tombstone>();
  #history: Change[] = [];
  #replayableFrom: number;
  #ordered: readonly ServiceInstance[] | undefined;

  /** The store's revision at this service's last change. */
  revision: number;
  /** The one listed last: others of the service say much the same. */
  latest: ServiceInstance | undefined;
  /** When the last instance left, on the registry's clock. */
  emptySince: number;

  constructor(revision: number, now: number) {
    this.revision = revision;
    this.#replayableFrom = revision;
    this.emptySince = now;
  }

  /** How many are listed. */
  get listed(): number {
    return this.holders.size - this.#unlisted.size;
  }

  /** Lists an instance, or what is new of it. True if it had failed. */
  put(held: HeldInstance, revision: number): boolean {
    const { instance } = held;
    this.holders.set(instance.id, held);
    this.latest = instance;
    this.#note({ revision, id: instance.id, instance, reason: undefined });
    const hadFailed = this.#unlisted.size > 0 && this.#unlisted.delete(instance.id);
    return (this.#tombstones.size > 0 && this.#tombstones.delete(instance.id)) || hadFailed;
  }

  /** No longer lists an instance that keeps its lease. */
  unlist(held: HeldInstance, revision: number): void {
    const { id } = held.instance;
    this.#unlisted.set(id, held);
    this.#note({ revision, id, instance: undefined, reason: "probe_failed" });
  }

  /** A lease ended. `revision` is of no account if the instance was not listed: its removal was told. */
  remove({ instance }: HeldInstance, reason: RemovalReason, revision: number, now: number): void {
    this.holders.delete(instance.id);
    if (this.holders.size === 0) this.emptySince = now;
    this.#purgeTombstones(now);
    if (reason === "expired") this.#tombstones.set(instance.id, { instance, buriedAt: now });
    if (!this.#unlisted.delete(instance.id)) this.#note({ revision, id: instance.id, instance: undefined, reason });
  }

  /** Instances that failed: those that are held all the same, and those whose lease ran out within the last five minutes. */
  failed(now: number): readonly ServiceInstance[] {
    this.#purgeTombstones(now);
    return [...this.#unlisted.values(), ...this.#tombstones.values()].map(({ instance }) => instance);
  }

  /** All listed instances, in the order of their ids; made once per change. */
  list(): readonly ServiceInstance[] {
    this.#ordered ??= Object.freeze(this.#listed().sort(byId));
    return this.#ordered;
  }

  /** What happened after `since`, as one change; undefined if that is longer ago than is remembered. */
  changesAfter(since: number): Pick<RegistryUpdate & { type: "change" }, "upserted" | "removed"> | undefined {
    if (since < this.#replayableFrom || since > this.revision) return undefined;
    const latest = new Map<string, Change>();
    for (let index = this.#history.length - 1; index >= 0; index--) {
      const change = this.#history[index] as Change;
      if (change.revision <= since) break;
      if (!latest.has(change.id)) latest.set(change.id, change);
    }
    const upserted: ServiceInstance[] = [];
    const removed: Removal[] = [];
    for (const { id, instance, reason } of latest.values()) {
      if (instance) upserted.push(instance);
      else removed.push({ id, reason });
    }
    return { upserted, removed };
  }

  #listed(): ServiceInstance[] {
    const instances = Array.from(this.holders.values(), ({ instance }) => instance);
    return this.#unlisted.size === 0 ? instances : instances.filter(({ id }) => !this.#unlisted.has(id));
  }

  #note(change: Change): void {
    this.revision = change.revision;
    this.#ordered = undefined;
    this.#history.push(change);
    if (this.#history.length < 2 * HISTORY) return; // trimmed by halves, so that it costs nothing per change
    const forgotten = this.#history.splice(0, HISTORY);
    this.#replayableFrom = forgotten.at(-1)?.revision ?? this.#replayableFrom;
  }

  #purgeTombstones(now: number): void {
    for (const [id, { buriedAt }] of this.#tombstones) {
      if (now - buriedAt < TOMBSTONE_MS) return; // in the order of burial
      this.#tombstones.delete(id);
    }
  }
}
