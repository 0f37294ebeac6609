import { DiscoveryError } from "../model/errors.js";
import { type Cancel, type Clock, turn } from "../runtime/clock.js";
import { haltSignal } from "../runtime/deadline.js";
import type { EtcdClient, Fields } from "./etcd-client.js";
import type { EtcdKeys, Life } from "./etcd-keys.js";
import { EtcdNames } from "./etcd-names.js";
import { rangesIn } from "./etcd-reads.js";
import { type KeyValue, keyValues, numberOf } from "./etcd-record.js";

/**
 * Operations in one transaction, but for the look at the epoch: etcd allows 128 (`--max-txn-ops`), and those of a
 * transaction in it count on from there, which leaves seven for each.
 */
const OPERATIONS = 120;

/** Characters of values in one transaction: etcd takes 1.5 MiB in a request (`--max-request-bytes`), keys and all. */
const CHARACTERS = 1_000_000;

/** One life that is to be entered under a lease, if nobody holds its id but those who are to give way. */
export interface Entry {
  readonly life: Life;
  readonly value: string;
  readonly lease: string;
  /** The lives of the id that give way. */
  readonly earlier: readonly KeyValue[];
}

interface Waiting extends Entry {
  readonly signal: AbortSignal;
  resolve(answer: Fields): void;
  reject(error: unknown): void;
}

/** So many are a group that waits for nobody. */
const FULL = OPERATIONS / 2;

/** So long, in milliseconds, others are waited for: a lease that etcd does not grant for seconds delays nobody. */
const PATIENCE_MS = 100;

/**
 * Enters lives, many in one transaction when many come at once: one is under way, and what comes meanwhile goes with the
 * next, which leaves as soon as there are as many in it as still to come. (Two, three or four under way win nothing on two
 * cores: `test/bench/etcd.mjs URL throughput`.) Nobody who comes alone waits for anything.
 *
 * First all of them or none, which costs etcd least; where somebody is refused, each by itself in the same request; and
 * where etcd takes none because of one, such as one whose lease has run out, each in a request of its own.
 */
export class EtcdEntries {
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #names: EtcdNames;
  readonly #clock: Clock;
  readonly #halt = haltSignal();
  #waiting: Waiting[] = [];
  /** How many have announced themselves. */
  #coming = 0;
  #isRunning = false;
  #isLate = false;
  #cancelLate: Cancel | undefined;

  constructor(client: EtcdClient, keys: EtcdKeys, clock: Clock) {
    this.#client = client;
    this.#keys = keys;
    this.#names = new EtcdNames(clock);
    this.#clock = clock;
  }

  /** Says that somebody comes as soon as this is done, which must have an end, whatever it may be. */
  async after<T>(done: Promise<T>): Promise<T> {
    this.#coming++;
    try {
      return await done;
    } finally {
      this.#coming--;
      this.#start();
    }
  }

  /**
   * The answer's last range is the epoch's key; if it is refused, the first one has the holders of the id.
   *
   * @param signal whoever gives up before it is asked for is not entered; after that there is an answer all the same
   */
  enter(entry: Entry, signal: AbortSignal): Promise<Fields> {
    signal.throwIfAborted();
    const answered = new Promise<Fields>((resolve, reject) =>
      this.#waiting.push({ ...entry, signal, resolve, reject }),
    );
    this.#start();
    return answered;
  }

  #start(): void {
    if (this.#isRunning || this.#waiting.length === 0) return;
    if (this.#isReady()) void this.#run();
    else this.#cancelLate ??= this.#clock.schedule(PATIENCE_MS, () => this.#hurry());
  }

  #isReady(): boolean {
    return this.#waiting.length > 0 && (this.#isLate || this.#waiting.length >= Math.min(this.#coming, FULL));
  }

  #hurry(): void {
    this.#isLate = true;
    this.#start();
  }

  #startOver(): void {
    this.#cancelLate?.();
    this.#cancelLate = undefined;
    this.#isLate = false;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#isReady()) {
      await turn(); // for those who are done in the same one
      this.#startOver();
      const batch = this.#next();
      if (batch.length > 0) await this.#enter(batch);
    }
    this.#isRunning = false;
    this.#start(); // the wait begins for whoever is left
  }

  /** No id is twice in one transaction: both would find it free. Whoever has given up is not asked for. */
  #next(): readonly Waiting[] {
    const batch: Waiting[] = [];
    const rest: Waiting[] = [];
    const ids = new Set<string>();
    let [operations, characters] = [0, 0];
    for (const each of this.#waiting) {
      if (each.signal.aborted) {
        each.reject(each.signal.reason);
        continue;
      }
      const id = `${each.life.service}/${each.life.id}`;
      const [more, longer] = [operations + operationsOf(each), characters + each.value.length];
      const fits = batch.length === 0 || (more <= OPERATIONS && longer <= CHARACTERS);
      if (fits && !ids.has(id)) {
        batch.push(each);
        [operations, characters] = [more, longer];
      } else rest.push(each);
      ids.add(id);
    }
    this.#waiting = rest;
    return batch;
  }

  async #enter(batch: readonly Waiting[]): Promise<void> {
    try {
      const answer = await this.#together(batch);
      const isApart = batch.length > 1 && answer["succeeded"] !== true;
      const answers = isApart ? await this.#apart(batch) : batch.map(() => answer);
      for (const [index, { resolve }] of batch.entries()) resolve(answers[index] as Fields);
    } catch (error) {
      if (batch.length === 1 || isForAll(error)) for (const { reject } of batch) reject(error);
      else await Promise.all(batch.map((each) => this.#enter([each])));
    }
  }

  /** All of them, or none; who is in the way is told to one that is alone. */
  async #together(batch: readonly Entry[]): Promise<Fields> {
    const names = namesIn(batch);
    const missing = this.#names.missing(names);
    const value = missing.length < names.length ? this.#names.epoch : undefined;
    const sameStore = value === undefined ? [] : [{ key: this.#keys.epoch, target: "VALUE", result: "EQUAL", value }];
    const asked = batch.map((entry) => this.#asked(entry));
    const [alone] = batch.length === 1 ? asked : [];
    const compare = [...asked.flatMap(({ compare }) => compare), ...sameStore];
    const success = [...asked.flatMap(({ success }) => success), ...this.#puts(missing), this.#looked];
    const failure = alone ? [...alone.failure, this.#looked] : [];
    const answer = await this.#client.call("/v3/kv/txn", { compare, success, failure }, this.#halt.signal);
    if (answer["succeeded"] === true) return this.#wrote(missing, answer);
    this.#names.forget(); // it may be another store: whoever asks again names them
    return answer;
  }

  /** Each by itself: one that is refused does not cost the others theirs. A key may stand once: the names are beside. */
  async #apart(batch: readonly Entry[]): Promise<readonly Fields[]> {
    const names = namesIn(batch);
    const asked = batch.map((entry) => ({ request_txn: this.#asked(entry) }));
    const success = [...asked, ...this.#puts(names), this.#looked];
    const answer = await this.#client.call("/v3/kv/txn", { success }, this.#halt.signal);
    const own = Array.isArray(answer["responses"]) ? (answer["responses"] as readonly Fields[]) : [];
    const { responses: looked } = this.#wrote(names, answer) as { readonly responses: readonly Fields[] };
    return batch.map((_, index) => {
      const { succeeded = false, responses = [] } = (own[index]?.["response_txn"] ?? {}) as Fields;
      return { ...answer, succeeded, responses: [...(responses as readonly Fields[]), ...looked] };
    });
  }

  #asked({ life, value, lease, earlier }: Entry) {
    const lives = this.#keys.lives(life.service, life.id);
    const newest = Math.max(0, ...earlier.map(({ create_revision }) => numberOf(create_revision)));
    const put = { request_put: { key: this.#keys.life(life), value, lease } };
    return {
      compare: [{ ...lives, target: "CREATE", result: "LESS", create_revision: String(newest + 1) }], // 1: nobody is there
      success: [...earlier.map(({ key }) => ({ request_delete_range: { key } })), put],
      failure: [{ request_range: lives }],
    };
  }

  get #looked() {
    return { request_range: { key: this.#keys.epoch } };
  }

  #puts(names: readonly string[]) {
    return names.map((name) => ({ request_put: { key: this.#keys.name(name) } }));
  }

  /** What is left of an answer is its look at the epoch, the last of what was asked. */
  #wrote(names: readonly string[], answer: Fields): Fields {
    const responses = Array.isArray(answer["responses"]) ? answer["responses"].slice(-1) : [];
    const looked = { ...answer, responses };
    this.#names.wrote(names, keyValues(rangesIn(looked)[0])[0]?.value);
    return looked;
  }
}

function namesIn(batch: readonly Entry[]): readonly string[] {
  return [...new Set(batch.map(({ life }) => life.service))];
}

/** A life is put, and perhaps its name; those before it are deleted. */
function operationsOf({ earlier }: Entry): number {
  return 2 + earlier.length;
}

/** What a single one would be told as well: asking for each would only make it worse. */
function isForAll(error: unknown): boolean {
  return DiscoveryError.is(error, "UNAVAILABLE") || DiscoveryError.is(error, "OVERLOADED");
}
