import { DiscoveryError } from "../model/errors.js";
import { type Position, type RegistryUpdate, sameInstances } from "../model/update.js";
import { type Cancel, type Clock, turn } from "../runtime/clock.js";
import { haltSignal, linked } from "../runtime/deadline.js";
import { ConsulClient, type ConsulTarget } from "./consul-client.js";
import { type Answer, ConsulHistory } from "./consul-history.js";
import { Pace, Refusals } from "./consul-pace.js";
import { ConsulReads } from "./consul-reads.js";
import { Reader, toldTo } from "./watch-reader.js";

/** Of the 200 connections that a Consul agent grants one address by default, so many for queries that wait. */
const WAITING_CONNECTIONS = 128;
/** And so many for those that begin a watch, which are answered at once: they must not stand behind the others. */
const BEGINNING_CONNECTIONS = 8;
/** What an answer may take beyond the wait and Consul's jitter, in milliseconds, before the query counts as dead. */
const MARGIN_MS = 3_000;

/** A query that fails sooner than this, in milliseconds, was not let wait. */
const REFUSED_MS = 1_000;

/** After that long without a word a blocking query is dead: Consul adds up to a sixteenth to the wait. */
export function deadlineOf(waitMs: number): number {
  return (waitMs * 17) / 16 + MARGIN_MS;
}

/** One blocking query per service, whoever watches it, over sockets of its own: no heartbeat ever waits for one. */
export class ConsulWatch {
  /** What it has heard of that Consul; whoever lists beside it adds to it. */
  readonly history = new ConsulHistory();
  readonly #name: string;
  readonly #clock: Clock;
  readonly #waitMs: number;
  readonly #clients: readonly ConsulClient[];
  readonly #begins: ConsulReads;
  readonly #waits: ConsulReads;
  readonly #queries = new Map<string, Query>();
  readonly #refusals = new Refusals();

  constructor(target: ConsulTarget, clock: Clock, waitMs: number) {
    const begins = new ConsulClient(target, BEGINNING_CONNECTIONS);
    const waits = new ConsulClient(target, WAITING_CONNECTIONS);
    this.#name = target.name;
    this.#clock = clock;
    this.#waitMs = waitMs;
    this.#clients = [begins, waits];
    this.#begins = new ConsulReads(begins, this.history);
    this.#waits = new ConsulReads(waits, this.history);
  }

  /**
   * The updates of one service, beginning with what it is now, until `signal` aborts. Throws when the query fails, and
   * the reason of `closed` once that aborts.
   */
  async *of(
    service: string,
    since: Position | undefined,
    signal: AbortSignal,
    closed: AbortSignal,
  ): AsyncGenerator<RegistryUpdate> {
    if (signal.aborted) return;
    closed.throwIfAborted();
    const either = linked(signal, closed);
    try {
      const query = this.#queries.get(service) ?? this.#begin(service);
      const reader = new Reader(since);
      if (query.latest) reader.begin(this.#now(query.latest, since));
      yield* toldTo(reader, query.readers, either.signal, () => this.#end(query));
      if (!signal.aborted) closed.throwIfAborted();
    } finally {
      either.release();
    }
  }

  /** Ends its connections. Whoever still watches is told so by an error. */
  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
  }

  /** What a newcomer is told. It may have listed while the query was about to ask again. */
  #now(latest: Answer, since: Position | undefined): RegistryUpdate {
    return this.history.isPast(latest, since) ? { type: "current", position: since } : latest.update;
  }

  #begin(service: string): Query {
    const query: Query = { service, readers: new Set(), latest: undefined, halt: haltSignal() };
    this.#queries.set(service, query);
    void this.#follow(query);
    return query;
  }

  #end(query: Query): void {
    query.halt.abort();
    if (this.#queries.get(query.service) === query) this.#queries.delete(query.service);
  }

  /** Asks again and again, until nobody listens any more or an answer fails. */
  async #follow(query: Query): Promise<void> {
    const { service, halt } = query;
    const pace = new Pace();
    let index: bigint | undefined; // none: answer at once
    let askedAt = this.#clock.now();
    let cancel: Cancel = () => {};
    try {
      let pauseMs = Math.max(this.#refusals.pause(service, askedAt), pace.pause(askedAt, true));
      for (let told = true; ; pauseMs = pace.pause(this.#clock.now(), told)) {
        if (pauseMs > 0) await this.#clock.sleep(pauseMs, halt.signal);
        cancel = this.#limit(query);
        askedAt = this.#clock.now();
        const answer = await this.#ask(query, index);
        if (index !== undefined) this.#refusals.end(service, askedAt);
        told = deliver(query, answer);
        await turn(); // readers first: all that is left takes as long as what they do with the answer
        cancel();
        index = answer.rewound ? undefined : answer.index;
      }
    } catch (error) {
      cancel();
      const now = this.#clock.now();
      const isRefused = index !== undefined && !halt.signal.aborted && now - askedAt < REFUSED_MS;
      if (isRefused) this.#refusals.add(service, now);
      for (const reader of query.readers) reader.fail(error);
      this.#end(query);
    }
  }

  /** Ends a query that is not answered in time. */
  #limit({ service, halt }: Query): Cancel {
    const limitMs = deadlineOf(this.#waitMs);
    const what = `blocking query of ${this.#name} for ${service}`;
    return this.#clock.schedule(limitMs, () => {
      halt.abort(new DiscoveryError("TIMEOUT", `No answer within ${limitMs} ms: ${what}`));
    });
  }

  #ask({ service, halt: { signal } }: Query, index: bigint | undefined): Promise<Answer> {
    if (index === undefined) return this.#begins.read(service, { signal });
    const share = Math.min(1, WAITING_CONNECTIONS / this.#queries.size); // more than that take turns, each for less long
    return this.#waits.read(service, { index, wait: `${Math.round(this.#waitMs * share)}ms`, signal });
  }
}

interface Query {
  readonly service: string;
  readonly readers: Set<Reader>;
  readonly halt: AbortController;
  latest: Answer | undefined;
}

/** True if the answer says anything new. */
function deliver(query: Query, answer: Answer): boolean {
  const { latest } = query;
  query.latest = answer;
  const { update, position } = answer;
  const news = !latest || answer.rewound || saysOtherwise(latest, answer);
  for (const reader of query.readers) {
    if (news) reader.begin(update);
    else reader.tell({ type: "current", position }, () => update);
  }
  return news;
}

function saysOtherwise(before: Answer, after: Answer): boolean {
  return before.update.type !== after.update.type || !sameInstances(before.instances, after.instances);
}
