import { DiscoveryError } from "../model/errors.js";
import type { Position, RegistryUpdate } from "../model/update.js";
import type { Clock } from "../runtime/clock.js";
import type { EtcdClient, Fields } from "./etcd-client.js";
import { cancellationOf } from "./etcd-errors.js";
import type { EtcdKeys } from "./etcd-keys.js";
import type { Answer, EtcdReads } from "./etcd-reads.js";
import { numberOf, revisionIn } from "./etcd-record.js";
import type { EtcdEvent, EtcdView } from "./etcd-view.js";
import { Reader, toldTo } from "./watch-reader.js";

/** A stream that lived this long, in milliseconds, is resumed at once when it breaks: another endpoint may be up. */
const STEADY_MS = 1_000;
/** A list shows what a watch must tell within this, in milliseconds (5 ms is usual), or the watch is dead. */
const LAG_MS = 2_000;

/** One stream per service, whoever watches it through this value. */
export class EtcdWatch {
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #reads: EtcdReads;
  readonly #clock: Clock;
  readonly #followed = new Map<string, Followed>();

  constructor(client: EtcdClient, keys: EtcdKeys, reads: EtcdReads, clock: Clock) {
    this.#client = client;
    this.#keys = keys;
    this.#reads = reads;
    this.#clock = clock;
  }

  /** The updates of one service, beginning with what it is now. Throws when the stream breaks and cannot be resumed. */
  async *of(service: string, since: Position | undefined, signal: AbortSignal): AsyncGenerator<RegistryUpdate> {
    if (signal.aborted) return;
    const followed = this.#followed.get(service) ?? this.#begin(service);
    const reader = new Reader(since);
    if (followed.now) reader.begin(snapshotOf(followed.now));
    yield* toldTo(reader, followed.readers, signal, () => this.#end(followed));
  }

  /** Compares a list with what the watch has told: one that stays silent about a difference is dead, however open. */
  compare(service: string, { epoch, revision, view }: Answer): void {
    const followed = this.#followed.get(service);
    const now = followed?.now;
    if (!followed || !now || (now.epoch === epoch && (now.revision >= revision || now.view.mark === view.mark))) return;
    const { mark } = now.view;
    this.#clock.schedule(LAG_MS, () => {
      if (followed.now?.epoch !== now.epoch || followed.now.view.mark !== mark) return;
      followed.cut(new DiscoveryError("UNAVAILABLE", `The watch of ${service} was silent about a change`, { service }));
    });
  }

  #begin(service: string): Followed {
    const followed = {
      service,
      readers: new Set<Reader>(),
      halt: new AbortController(),
      now: undefined,
      cut: () => {},
    };
    this.#followed.set(service, followed);
    void this.#follow(followed);
    return followed;
  }

  #end(followed: Followed): void {
    followed.halt.abort();
    if (this.#followed.get(followed.service) === followed) this.#followed.delete(followed.service);
  }

  async #follow(followed: Followed): Promise<void> {
    const { service } = followed;
    const { signal } = followed.halt;
    try {
      for (let resumes = false; ; ) {
        if (!resumes || !(await this.#isStill(followed, signal))) {
          restart(followed, await this.#reads.read(service, signal));
        }
        const openedAt = this.#clock.now();
        const error = await this.#stream(followed, signal).catch((cause: unknown) => cause);
        if (signal.aborted || this.#clock.now() - openedAt < STEADY_MS) throw error;
        resumes = !(error instanceof Compacted);
      }
    } catch (error) {
      for (const reader of followed.readers) reader.fail(error);
      this.#end(followed);
    }
  }

  /** Whether the store has all that was told already, and forgot nothing. */
  async #isStill({ now }: Followed, signal: AbortSignal): Promise<boolean> {
    const { epoch, revision } = await this.#reads.standing(signal);
    return now !== undefined && epoch === now.epoch && revision >= now.revision;
  }

  /** Reads one stream, from the revision after the last one known, until it breaks. */
  async #stream(followed: Followed, outer: AbortSignal): Promise<void> {
    const { service } = followed;
    const cut = new AbortController();
    const follow = (): void => cut.abort(outer.reason);
    outer.addEventListener("abort", follow, { once: true });
    followed.cut = (reason) => cut.abort(reason);
    const start_revision = String((followed.now?.revision ?? 0) + 1);
    const range = this.#keys.service(service);
    const create_request = { ...range, start_revision, progress_notify: true, fragment: true };
    let events: EtcdEvent[] = [];
    try {
      for await (const result of this.#client.watch({ create_request }, cut.signal)) {
        if (result["canceled"] === true) throw this.#cancelled(result);
        if (Array.isArray(result["events"])) events.push(...(result["events"] as EtcdEvent[]));
        if (result["fragment"] === true) continue; // the rest of it follows
        if (events.length > 0) this.#tell(followed, events);
        else if (result["created"] !== true) progress(followed, revisionIn(result));
        events = [];
      }
    } finally {
      outer.removeEventListener("abort", follow);
    }
  }

  #cancelled(result: Fields): DiscoveryError {
    const compacted = numberOf(result["compact_revision"]);
    return compacted > 0
      ? new Compacted(compacted)
      : cancellationOf(this.#client.name, String(result["cancel_reason"] ?? ""));
  }

  #tell(followed: Followed, events: readonly EtcdEvent[]): void {
    const now = followed.now as Now;
    const { upserted, removed, invalid } = now.view.take(events);
    now.revision = Math.max(now.revision, ...events.map(({ kv }) => numberOf(kv?.mod_revision)));
    if (upserted.length + removed.length + invalid === 0) return;
    const since = now.position;
    const { epoch } = now;
    const position = `${epoch}:${now.revision}`;
    now.position = position;
    now.absent = false;
    this.#reads.reached(followed.service, now.view, position);
    const change = { type: "change", upserted, removed, since, position, epoch, invalid } as const;
    const whole = (): RegistryUpdate => snapshotOf(now);
    for (const reader of followed.readers) reader.tell(change, whole);
  }
}

/** What was to be read is no longer there. */
class Compacted extends DiscoveryError {
  constructor(revision: number) {
    super("UNAVAILABLE", `etcd has compacted its history up to revision ${revision}`);
  }
}

/** A service as far as its stream has told. */
interface Now {
  readonly epoch: string;
  readonly view: EtcdView;
  revision: number;
  position: Position;
  /** Nobody has ever registered under the name. */
  absent: boolean;
}

interface Followed {
  readonly service: string;
  readonly readers: Set<Reader>;
  readonly halt: AbortController;
  now: Now | undefined;
  /** Ends the stream that is open now. */
  cut: (reason: unknown) => void;
}

function restart(followed: Followed, { epoch, view, revision, position, update }: Answer): void {
  followed.now = { epoch, view, revision, position, absent: update.type === "absent" };
  for (const reader of followed.readers) reader.begin(update);
}

/** All up to a revision has been told, and there was nothing. */
function progress({ now, readers }: Followed, revision: number): void {
  if (!now) return;
  now.revision = Math.max(now.revision, revision);
  const current = { type: "current", epoch: now.epoch } as const;
  for (const reader of readers) reader.tell(current, () => snapshotOf(now));
}

function snapshotOf({ epoch, view, position, absent }: Now): RegistryUpdate {
  if (absent) return { type: "absent", epoch };
  return { type: "reset", instances: view.instances(), position, epoch, invalid: view.invalid };
}
