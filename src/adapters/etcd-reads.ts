import { randomBytes } from "node:crypto";
import type { Position, RegistryUpdate } from "../model/update.js";
import { Recent } from "../registry/recent.js";
import type { EtcdClient, Fields } from "./etcd-client.js";
import { after, base64, type EtcdKeys, type Range } from "./etcd-keys.js";
import { type KeyValue, keyValues, numberOf, revisionIn } from "./etcd-record.js";
import { EtcdView } from "./etcd-view.js";

/** Instances in one answer: some 1.5 MB, which takes etcd much less than a deadline. */
const PAGE = 2_000;
/** Services whose last position is remembered: as many as a registry may hold. */
const REMEMBERED = 10_000;
const WORD_BYTES = 32;

/** What etcd holds of one service. */
export interface Answer {
  readonly view: EtcdView;
  /** The store's revision it is of. */
  readonly revision: number;
  readonly epoch: string;
  readonly update: RegistryUpdate & { readonly type: "reset" | "absent" };
  readonly position: Position;
}

/** Where the store stands. */
export interface Standing {
  readonly epoch: string;
  readonly revision: number;
}

/** Reads of one service, all linearizable: without a quorum there is an error, never an old list. */
export class EtcdReads {
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #last = new Recent<{ readonly mark: string; readonly position: Position }>(REMEMBERED);
  #highest: Standing = { epoch: "", revision: 0 };

  constructor(client: EtcdClient, keys: EtcdKeys) {
    this.#client = client;
    this.#keys = keys;
  }

  async read(service: string, signal: AbortSignal): Promise<Answer> {
    const range = this.#keys.service(service);
    const first = { request_range: { ...range, limit: String(PAGE) } };
    const name = { request_range: { key: this.#keys.name(service), count_only: true } };
    const { standing, responses } = await this.#transaction([first, name], signal);
    const { revision, epoch } = standing;
    const kvs = await this.#rest(range, responses[0] ?? {}, revision, signal);
    const view = new EtcdView(this.#keys, service, kvs);
    const isKnown = numberOf(responses[1]?.["count"]) > 0;
    if (kvs.length === 0 && !isKnown) {
      return { view, revision, epoch, update: { type: "absent", epoch }, position: `${epoch}:${revision}` };
    }
    const position = this.#positionOf(service, view, standing);
    const { invalid } = view;
    const update = { type: "reset", instances: view.instances(), position, epoch, invalid } as const;
    return { view, revision, epoch, update, position };
  }

  /** Where the store stands now. */
  async standing(signal: AbortSignal): Promise<Standing> {
    return (await this.#transaction([], signal)).standing;
  }

  /** A watch has led to this place: whoever lists the same contents is told the same position. */
  reached(service: string, view: EtcdView, position: Position): void {
    this.#last.set(service, { mark: `${epochIn(position)} ${view.mark}`, position });
  }

  /** Names ever registered. */
  async names(signal: AbortSignal): Promise<readonly string[]> {
    const names = { ...this.#keys.names, keys_only: true };
    const kvs = keyValues(await this.#client.call("/v3/kv/range", names, signal));
    return kvs.map(({ key }) => this.#keys.nameIn(key)).sort();
  }

  /** What stands at a key that whoever comes first fills with a random word. */
  async word(key: string, signal: AbortSignal): Promise<string> {
    const made = randomBytes(WORD_BYTES).toString("hex");
    const compare = [{ key, target: "CREATE", result: "EQUAL", create_revision: "0" }];
    const body = {
      compare,
      success: [{ request_put: { key, value: base64(made) } }],
      failure: [{ request_range: { key } }],
    };
    const answer = await this.#client.call("/v3/kv/txn", body, signal);
    const [kv] = answer["succeeded"] === true ? [] : keyValues(rangesIn(answer)[0]);
    return kv ? textOf(kv) : made;
  }

  /** Where the store stands by an answer that holds, among others, the range of the epoch's key. */
  async epochIn(answer: Fields, held: Fields | undefined, signal: AbortSignal): Promise<Standing> {
    const revision = revisionIn(answer);
    const [kv] = keyValues(held);
    const epoch = epochOf(answer, kv ? textOf(kv) : await this.word(this.#keys.epoch, signal));
    if (epoch !== this.#highest.epoch || revision > this.#highest.revision) this.#highest = { epoch, revision };
    return { epoch, revision };
  }

  async #transaction(asked: readonly unknown[], signal: AbortSignal) {
    const before = this.#highest;
    const body = { success: [{ request_range: { key: this.#keys.epoch } }, ...asked] };
    const answer = await this.#client.call("/v3/kv/txn", body, signal);
    const [held, ...responses] = rangesIn(answer);
    let standing = await this.epochIn(answer, held, signal);
    const [kv] = keyValues(held);
    if (kv && standing.epoch === before.epoch && standing.revision < before.revision) {
      const epoch = epochOf(answer, await this.#beginAnew(kv, signal));
      standing = { ...standing, epoch };
      this.#highest = standing;
    }
    return { standing, responses };
  }

  /** The store went back, to an older copy of itself: all who share it must see that it has forgotten something. */
  async #beginAnew({ key, value }: KeyValue, signal: AbortSignal): Promise<string> {
    const compare = [{ key, target: "VALUE", result: "EQUAL", value }];
    await this.#client.call("/v3/kv/txn", { compare, success: [{ request_delete_range: { key } }] }, signal);
    return this.word(key, signal);
  }

  /** The pages after the first, all of one revision. */
  async #rest(range: Range, first: Fields, revision: number, signal: AbortSignal): Promise<readonly KeyValue[]> {
    const all = [...keyValues(first)];
    for (let page = first; page["more"] === true && all.length > 0; ) {
      const key = after((all.at(-1) as KeyValue).key);
      const body = { ...range, key, limit: String(PAGE), revision: String(revision) };
      page = await this.#client.call("/v3/kv/range", body, signal);
      all.push(...keyValues(page));
    }
    return all;
  }

  /** The same contents have the same position, whatever else has happened in the store. */
  #positionOf(service: string, view: EtcdView, { epoch, revision }: Standing): Position {
    const mark = `${epoch} ${view.mark}`;
    const last = this.#last.get(service);
    if (last?.mark === mark) return last.position;
    const position = `${epoch}:${revision}`;
    this.#last.set(service, { mark, position });
    return position;
  }
}

/** The ranges a transaction was answered with, in order; others of its answers are empty. */
export function rangesIn({ responses }: Fields): readonly Fields[] {
  return (Array.isArray(responses) ? responses : []).map((each: Fields) => (each["response_range"] ?? {}) as Fields);
}

function textOf({ value = "" }: KeyValue): string {
  return Buffer.from(value, "base64").toString("utf8");
}

/** A copy of a store is another cluster, with the same word in it. */
function epochOf({ header }: Fields, word: string): string {
  const { cluster_id } = (header ?? {}) as { readonly cluster_id?: unknown };
  return `${String(cluster_id ?? "")}-${word.slice(0, 16)}`;
}

function epochIn(position: Position): string {
  return position.slice(0, position.lastIndexOf(":"));
}
