import { DiscoveryError } from "../model/errors.js";
import type { Clock } from "../runtime/clock.js";
import { haltSignal, untilAborted } from "../runtime/deadline.js";
import type { EtcdClient, Fields } from "./etcd-client.js";
import type { EtcdKeys, Life } from "./etcd-keys.js";
import { rangesIn } from "./etcd-reads.js";
import { keyValues } from "./etcd-record.js";

/** Registrations in one transaction: each puts two keys, and etcd allows 128 operations. */
const BATCH = 60;

/** A name that was written is taken for written this long, in milliseconds: who deletes one by hand waits no longer. */
const NAMED_MS = 10_000;

/** So many names are remembered at most. */
const MAX_NAMED = 10_000;

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
 * Enters lives that are new, many in one transaction when many come at once: one is under way, and what comes meanwhile
 * goes with the next. (Two or four at once cost etcd more than they win: `test/bench/etcd.mjs URL throughput`.) Where somebody in it is refused, each is asked for by itself.
 */
export class EtcdEntries {
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #clock: Clock;
  readonly #halt = haltSignal();
  #waiting: Waiting[] = [];
  #isRunning = false;
  /** Names that stand in the store of `#epoch`, and when they were written. */
  readonly #named = new Map<string, number>();
  /** What stands at the epoch's key of the store that was written to. */
  #epoch: string | undefined;

  constructor(client: EtcdClient, keys: EtcdKeys, clock: Clock) {
    this.#client = client;
    this.#keys = keys;
    this.#clock = clock;
  }

  /** The answer's last range is the epoch's key; if it is refused, the first one has the holders of the id. */
  enter(entry: Entry, signal: AbortSignal): Promise<Fields> {
    signal.throwIfAborted();
    const answered = new Promise<Fields>((resolve, reject) => this.#waiting.push({ ...entry, resolve, reject }));
    if (!this.#isRunning) void this.#run();
    return untilAborted(answered, signal);
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
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
    this.#isRunning = false;
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
    const now = this.#clock.now();
    const isFree = ({ life: { service, id } }: Entry) => {
      return { ...this.#keys.lives(service, id), target: "CREATE", result: "EQUAL", create_revision: "0" };
    };
    const names = [...new Set(batch.map(({ life }) => life.service))];
    const unnamed = names.filter((name) => !this.#isNamed(name, now));
    const value = unnamed.length < names.length ? this.#epoch : undefined;
    const sameStore = value === undefined ? [] : [{ key: this.#keys.epoch, target: "VALUE", result: "EQUAL", value }];
    const compare = [...batch.map(isFree), ...sameStore];
    const epoch = { request_range: { key: this.#keys.epoch } };
    const success = [
      ...batch.map(({ life, value, lease }) => ({ request_put: { key: this.#keys.life(life), value, lease } })),
      ...unnamed.map((name) => ({ request_put: { key: this.#keys.name(name) } })),
      epoch,
    ];
    const [{ life }] = batch as readonly [Entry];
    const failure = batch.length > 1 ? [] : [{ request_range: this.#keys.lives(life.service, life.id) }, epoch];
    const answer = await this.#client.call("/v3/kv/txn", { compare, success, failure }, this.#halt.signal);
    const { responses } = answer;
    if (answer["succeeded"] !== true) this.#named.clear(); // it may be another store: whoever asks again names them
    if (answer["succeeded"] !== true || !Array.isArray(responses)) return answer;
    const done = { ...answer, responses: responses.slice(-1) };
    this.#wrote(unnamed, keyValues(rangesIn(done)[0])[0]?.value, now);
    return done;
  }

  #isNamed(name: string, now: number): boolean {
    const at = this.#named.get(name);
    return at !== undefined && now - at < NAMED_MS;
  }

  #wrote(names: readonly string[], epoch: string | undefined, now: number): void {
    if (epoch !== this.#epoch || this.#named.size > MAX_NAMED) this.#named.clear(); // another store, or very many
    this.#epoch = epoch;
    if (epoch !== undefined) for (const name of names) this.#named.set(name, now);
  }
}

function isAway(error: unknown): boolean {
  return DiscoveryError.is(error, "UNAVAILABLE");
}
