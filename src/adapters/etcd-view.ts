import { byId, type ServiceInstance } from "../model/instance.js";
import type { Removal } from "../model/update.js";
import type { EtcdKeys } from "./etcd-keys.js";
import { fromEtcd, type KeyValue, numberOf } from "./etcd-record.js";

interface Entry {
  readonly id: string;
  readonly modified: number;
  /** Undefined if it cannot be read. */
  readonly instance: ServiceInstance | undefined;
}

/** One event of a watch, as the gateway tells it: without a type it is a put. */
export interface EtcdEvent {
  readonly type?: string;
  readonly kv?: KeyValue;
}

/** What events did to a service. */
export interface EtcdChange {
  readonly upserted: readonly ServiceInstance[];
  readonly removed: readonly Removal[];
  readonly invalid: number;
}

/** One service as etcd holds it: made from a list, kept by events. */
export class EtcdView {
  readonly #keys: EtcdKeys;
  readonly #service: string;
  readonly #entries = new Map<string, Entry>();
  /** By the ids of the instances, the keys of their present lives. */
  readonly #present = new Map<string, string>();
  #newest = 0;

  constructor(keys: EtcdKeys, service: string, kvs: readonly KeyValue[]) {
    this.#keys = keys;
    this.#service = service;
    for (const kv of kvs) this.#put(kv);
  }

  /** Names the contents: as long as nothing is written the number of keys tells who left, and all writing is newer. */
  get mark(): string {
    return `${this.#newest}/${this.#entries.size}`;
  }

  /** Records that cannot be read. */
  get invalid(): number {
    return this.#entries.size - this.#present.size;
  }

  /** In the order of their ids. */
  instances(): readonly ServiceInstance[] {
    const present = Array.from(this.#present.values(), (key) => this.#entries.get(key)?.instance as ServiceInstance);
    return present.sort(byId);
  }

  /** Takes in what came in one answer. Whoever deregisters leaves a note in the same transaction; a lease that runs out does not. */
  take(events: readonly EtcdEvent[]): EtcdChange {
    const left = this.#notesIn(events);
    const upserted = new Map<string, ServiceInstance>();
    const removed = new Map<string, Removal>();
    const remove = (removal: Removal): void => {
      upserted.delete(removal.id);
      removed.set(removal.id, removal);
    };
    let invalid = 0;
    for (const { type, kv } of events) {
      if (!kv) continue;
      if (type === "DELETE") {
        const id = this.#remove(kv.key);
        const reason = left.get(numberOf(kv.mod_revision)) === id ? "deregistered" : "expired";
        if (id !== undefined) remove({ id, reason });
        continue;
      }
      const entry = this.#put(kv);
      if (!entry) continue;
      removed.delete(entry.id);
      if (entry.instance) upserted.set(entry.id, entry.instance);
      else {
        invalid++;
        if (!this.#present.has(entry.id)) remove({ id: entry.id });
      }
    }
    return { upserted: [...upserted.values()], removed: [...removed.values()], invalid };
  }

  /** Who deregistered, by revision. */
  #notesIn(events: readonly EtcdEvent[]): ReadonlyMap<number, string> {
    const key = this.#keys.left(this.#service);
    const notes = events.flatMap(({ type, kv }) => (kv?.key === key && type !== "DELETE" ? kv : []));
    return new Map(
      notes.map((kv) => [numberOf(kv.mod_revision), Buffer.from(kv.value ?? "", "base64").toString("utf8")]),
    );
  }

  #put(kv: KeyValue): Entry | undefined {
    const life = this.#keys.lifeIn(this.#service, kv.key);
    if (!life) return undefined;
    let instance: ServiceInstance | undefined;
    try {
      instance = fromEtcd(kv, life);
    } catch {
      // one that cannot be read is counted; the others stand
    }
    const modified = numberOf(kv.mod_revision);
    const entry = { id: life.id, modified, instance };
    this.#entries.set(kv.key, entry);
    this.#newest = Math.max(this.#newest, modified);
    if (instance && this.#isNewest(instance)) this.#present.set(life.id, kv.key);
    else if (!instance && this.#present.get(life.id) === kv.key) this.#present.delete(life.id);
    return entry;
  }

  #isNewest({ id, incarnation }: ServiceInstance): boolean {
    const present = this.#entries.get(this.#present.get(id) ?? "")?.instance;
    return !present || incarnation >= present.incarnation;
  }

  /** The id of whoever is gone now; undefined if nobody is, or another life has begun. */
  #remove(key: string): string | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    if (entry.modified === this.#newest) this.#newest = newestOf(this.#entries.values());
    return this.#present.get(entry.id) === key && this.#present.delete(entry.id) ? entry.id : undefined;
  }
}

function newestOf(entries: Iterable<Entry>): number {
  let newest = 0;
  for (const { modified } of entries) newest = Math.max(newest, modified);
  return newest;
}
