import type { Position, RegistryUpdate } from "../model/update.js";
import { difference } from "../model/update.js";
import { type Clock, turn } from "../runtime/clock.js";
import { within } from "../runtime/deadline.js";
import { WATCH_CONNECTIONS } from "./consul-client.js";
import type { Answer, ConsulReads } from "./consul-reads.js";
import { toldTo } from "./watch-reader.js";

/** Two queries may begin at once; beyond, so long apart, in milliseconds: a storm of changes costs five reads a second. */
const STORM_GAP_MS = 200;
/** The same after an answer that told nothing new: two a second (consul-template's limiter, Consul's own advice). */
const SPURIOUS_GAP_MS = 500;
/** What an answer may take beyond the wait and Consul's jitter, in milliseconds, before the query counts as dead. */
const MARGIN_MS = 3_000;

/** After that long without a word a blocking query is dead: Consul adds up to a sixteenth to the wait. */
export function deadlineOf(waitMs: number): number {
  return (waitMs * 17) / 16 + MARGIN_MS;
}

/** One blocking query per service, whoever watches it through this value. */
export class ConsulWatch {
  readonly #reads: ConsulReads;
  readonly #clock: Clock;
  readonly #waitMs: number;
  readonly #queries = new Map<string, Query>();

  constructor(reads: ConsulReads, clock: Clock, waitMs: number) {
    this.#reads = reads;
    this.#clock = clock;
    this.#waitMs = waitMs;
  }

  /** The updates of one service, beginning with what it is now. Throws when the query fails. */
  async *of(service: string, since: Position | undefined, signal: AbortSignal): AsyncGenerator<RegistryUpdate> {
    if (signal.aborted) return;
    const query = this.#queries.get(service) ?? this.#begin(service);
    const reader = new Reader(since);
    if (query.latest) reader.begin(query.latest);
    yield* toldTo(reader, query.readers, signal, () => this.#end(query));
  }

  #begin(service: string): Query {
    const query: Query = { service, readers: new Set(), latest: undefined, halt: new AbortController() };
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
    const { signal } = query.halt;
    const pace = new Pace();
    let index: bigint | undefined; // none: answer at once
    try {
      for (let told = true; ; ) {
        const pauseMs = pace.pause(this.#clock.now(), told ? STORM_GAP_MS : SPURIOUS_GAP_MS);
        if (pauseMs > 0) await this.#clock.sleep(pauseMs, signal);
        const answer = await this.#ask(query.service, index, signal);
        told = deliver(query, answer);
        await turn(); // readers first: to ask again takes as long as all they do with the answer
        index = answer.rewound ? undefined : answer.index;
      }
    } catch (error) {
      for (const reader of query.readers) reader.fail(error);
      this.#end(query);
    }
  }

  #ask(service: string, index: bigint | undefined, signal: AbortSignal): Promise<Answer> {
    const share = Math.min(1, WATCH_CONNECTIONS / this.#queries.size); // more than that take turns, each for less long
    const held = index === undefined ? {} : { index, wait: `${Math.round(this.#waitMs * share)}ms` };
    const scope = { clock: this.#clock, signal };
    return within(`blocking query of ${this.#reads.name} for ${service}`, deadlineOf(this.#waitMs), scope, (inner) =>
      this.#reads.read(service, { ...held, signal: inner }),
    );
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
  const news = !latest || answer.rewound || saysOtherwise(latest, answer);
  for (const reader of query.readers) {
    if (!latest) reader.begin(answer);
    else reader.tell(news ? answer.update : { type: "current", position: answer.position });
  }
  return news;
}

function saysOtherwise(before: Answer, after: Answer): boolean {
  return before.update.type !== after.update.type || difference(before.instances, after.instances) !== undefined;
}

/** A bucket of two tokens. */
class Pace {
  #due = Number.NEGATIVE_INFINITY;

  /** How long to wait now, in milliseconds, where `gapMs` is the time a token takes. */
  pause(now: number, gapMs: number): number {
    const due = Math.max(this.#due, now - gapMs);
    this.#due = due + gapMs;
    return Math.max(0, due - now);
  }
}

/** One consumer. What it has not yet taken is overtaken by what is newer: every answer is the whole truth. */
class Reader {
  readonly #since: Position | undefined;
  #update: RegistryUpdate | undefined;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(since: Position | undefined) {
    this.#since = since;
  }

  begin({ update, position }: Answer): void {
    this.tell(position === this.#since ? { type: "current", position } : update);
  }

  tell(update: RegistryUpdate): void {
    if (update.type !== "current" || !this.#update) this.#update = update;
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake?.();
  }

  async next(): Promise<RegistryUpdate> {
    for (;;) {
      const update = this.#update;
      this.#update = undefined;
      if (update) return update;
      if (this.#failure) throw this.#failure.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
