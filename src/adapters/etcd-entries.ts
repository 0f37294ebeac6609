import { DiscoveryError } from "../model/errors.js";
import { haltSignal, untilAborted } from "../runtime/deadline.js";
import type { EtcdClient, Fields } from "./etcd-client.js";
import type { EtcdKeys, Life } from "./etcd-keys.js";

/** Registrations in one transaction: each puts two keys, and etcd allows 128 operations. */
const BATCH = 60;

/** Transactions under way: while etcd works at one, the next is written or read. */
const PARALLEL = 4;

/** One life that is to be entered under a lease, if nobody holds its id. */
export interface Entry {
  readonly life: Life;
  readonly value: string;
  readonly lease: string;
}

interface Waiting extends Entry {
  resolve(answer: Fields): void;
  reject(error: unknown): void;
}

/**
 * Enters lives that are new, many in one transaction when many come at once: what comes while others are under way
 * goes with the next. Where somebody in it is refused, each is asked for by itself.
 */
export class EtcdEntries {
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #halt = haltSignal();
  #waiting: Waiting[] = [];
  #running = 0;

  constructor(client: EtcdClient, keys: EtcdKeys) {
    this.#client = client;
    this.#keys = keys;
  }

  /** The answer's last range is the epoch's key; if it is refused, the first one has the holders of the id. */
  enter(entry: Entry, signal: AbortSignal): Promise<Fields> {
    signal.throwIfAborted();
    const answered = new Promise<Fields>((resolve, reject) => this.#waiting.push({ ...entry, resolve, reject }));
    if (this.#running < PARALLEL) void this.#run();
    return untilAborted(answered, signal);
  }

  async #run(): Promise<void> {
    this.#running++;
    await null; // for those who come in the same turn
    while (this.#waiting.length > 0) {
      const batch = this.#next();
      const answer = await this.#asked(batch).catch((error: unknown) => error);
      if (answer instanceof Error && (batch.length === 1 || isAway(answer))) {
        for (const { reject } of batch) reject(answer);
      } else if (batch.length > 1 && (answer as Fields)["succeeded"] !== true) {
        for (const each of batch) this.#asked([each]).then(each.resolve, each.reject);
      } else {
        for (const { resolve } of batch) resolve(answer as Fields);
      }
    }
    this.#running--;
  }

  /** No id is twice in one transaction: both would find it free. */
  #next(): readonly Waiting[] {
    const batch: Waiting[] = [];
    const rest: Waiting[] = [];
    const ids = new Set<string>();
    for (const each of this.#waiting) {
      const id = `${each.life.service}/${each.life.id}`;
      if (batch.length < BATCH && !ids.has(id)) batch.push(each);
      else rest.push(each);
      ids.add(id);
    }
    this.#waiting = rest;
    return batch;
  }

  async #asked(batch: readonly Entry[]): Promise<Fields> {
    const compare = batch.map(({ life: { service, id } }) => {
      return { ...this.#keys.lives(service, id), target: "CREATE", result: "EQUAL", create_revision: "0" };
    });
    const names = new Set(batch.map(({ life }) => life.service));
    const epoch = { request_range: { key: this.#keys.epoch } };
    const success = [
      ...batch.map(({ life, value, lease }) => ({ request_put: { key: this.#keys.life(life), value, lease } })),
      ...[...names].map((name) => ({ request_put: { key: this.#keys.name(name) } })),
      epoch,
    ];
    const [{ life }] = batch as readonly [Entry];
    const failure = batch.length > 1 ? [] : [{ request_range: this.#keys.lives(life.service, life.id) }, epoch];
    const answer = await this.#client.call("/v3/kv/txn", { compare, success, failure }, this.#halt.signal);
    const { responses } = answer;
    const isDone = answer["succeeded"] === true && Array.isArray(responses);
    return isDone ? { ...answer, responses: responses.slice(-1) } : answer;
  }
}

function isAway(error: unknown): boolean {
  return DiscoveryError.is(error, "UNAVAILABLE");
}
