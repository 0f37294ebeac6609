import { DiscoveryError } from "../model/errors.js";
import { inStatus, type ServiceInstance } from "../model/instance.js";
import type { Position, RegistryUpdate, RemovalReason } from "../model/update.js";
import type { Clock } from "../runtime/clock.js";
import type { HeldInstance } from "./held-instance.js";
import { ServiceRecord } from "./service-record.js";
import { Waiting } from "./waiting.js";

/** More services than any one machine should know. */
const MAX_SERVICES = 10_000;
/** A service without instances is forgotten after that long, in milliseconds, when room is needed. */
const FORGET_MS = 5 * 60_000;

/** What readers see of a memory registry: every service's instances and changes, each change under one revision. */
export class Catalog {
  readonly epoch: string;
  /** Whether it has just started: absence proves nothing yet. */
  warming = false;
  readonly #clock: Clock;
  readonly #services = new Map<string, ServiceRecord>();
  readonly #waiting = new Waiting();
  #revision: number;
  #closed = false;

  constructor(epoch: string, revision: number, clock: Clock) {
    this.epoch = epoch;
    this.#revision = revision;
    this.#clock = clock;
  }

  /** Rises by one with every change. */
  get revision(): number {
    return this.#revision;
  }

  /** It knows enough by now for an absence to prove something. */
  warmed(): void {
    this.warming = false;
    this.#waiting.wakeAll();
  }

  holder(service: string, id: string): HeldInstance | undefined {
    return this.#services.get(service)?.holders.get(id);
  }

  /** How many instances of a service hold a lease. */
  held(service: string): number {
    return this.#services.get(service)?.holders.size ?? 0;
  }

  /** How many instances of a service are listed. */
  listed(service: string): number {
    return this.#services.get(service)?.listed ?? 0;
  }

  /** @throws {DiscoveryError} `CLOSED` */
  checkOpen(): void {
    if (this.#closed) throw new DiscoveryError("CLOSED", "This memory registry was closed");
  }

  /** Makes sure that a service of that name has its place. @throws {DiscoveryError} `OVERLOADED` */
  make(service: string): ServiceRecord {
    const known = this.#services.get(service);
    if (known) return known;
    this.#makeRoom();
    const made = new ServiceRecord(this.#revision, this.#clock.now());
    this.#services.set(service, made);
    return made;
  }

  /** Lists an instance, or what is new of it. True if it had failed. */
  put(held: HeldInstance): boolean {
    const { service } = held.instance;
    const hadFailed = this.make(service).put(held, ++this.#revision);
    this.#waiting.wake(service);
    return hadFailed;
  }

  /** No longer lists an instance that keeps its lease. */
  unlist(held: HeldInstance): void {
    const { service } = held.instance;
    this.make(service).unlist(held, ++this.#revision);
    this.#waiting.wake(service);
  }

  /** A lease ended. */
  remove(held: HeldInstance, reason: RemovalReason): void {
    const { service } = held.instance;
    if (!held.unlisted) this.#revision++;
    this.make(service).remove(held, reason, this.#revision, this.#clock.now());
    if (!held.unlisted) this.#waiting.wake(service);
  }

  names(): readonly string[] {
    return [...this.#services.keys()].sort();
  }

  failed(service: string): readonly ServiceInstance[] {
    const failed = this.#services.get(service)?.failed(this.#clock.now()) ?? [];
    return failed.map((instance) => inStatus(instance, "failed"));
  }

  /** The list of a service, or what has changed after a position. */
  list(service: string, since: Position | undefined): RegistryUpdate {
    return this.warming ? this.#snapshot(service) : this.#after(service, since);
  }

  /**
   * Begins with whatever differs from a position, and goes on with every change until the signal aborts. By hand, for a
   * generator's `yield` takes one promise more: whoever made a change would have its answer before the readers know.
   */
  watch(service: string, since: Position | undefined, signal: AbortSignal): AsyncIterableIterator<RegistryUpdate> {
    let position = since;
    let sawWarming: boolean | undefined;
    let change: Promise<void> | undefined;
    let isOver = false;
    const next = async (): Promise<IteratorResult<RegistryUpdate>> => {
      for (;;) {
        await change;
        if (isOver || signal.aborted) return { value: undefined, done: true };
        this.checkOpen();
        change = this.#waiting.changeOf(service, signal);
        const first = sawWarming === undefined;
        const warmed = sawWarming === true && !this.warming;
        const update = warmed ? this.#snapshot(service) : this.#after(service, position);
        sawWarming = this.warming;
        if (update.type !== "absent") position = update.position;
        const isNews = first || warmed || update.type === "reset" || update.type === "change";
        if (isNews) return { value: update, done: false };
      }
    };
    const end = async (): Promise<IteratorReturnResult<undefined>> => {
      isOver = true;
      return { value: undefined, done: true };
    };
    return {
      next,
      return: end,
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** Ends every watch with `CLOSED`. */
  close(): void {
    this.#closed = true;
    this.#waiting.wakeAll();
  }

  #snapshot(service: string): RegistryUpdate {
    const record = this.#services.get(service);
    const { epoch, warming } = this;
    if (!record) return { type: "absent", epoch, warming };
    return { type: "reset", instances: record.list(), position: this.#positionOf(record.revision), epoch, warming };
  }

  #after(service: string, since: Position | undefined): RegistryUpdate {
    const record = this.#services.get(service);
    const revision = this.#revisionIn(since);
    if (!record || revision === undefined) return this.#snapshot(service);
    const position = this.#positionOf(record.revision);
    if (revision === record.revision) return { type: "current", position, epoch: this.epoch };
    const changes = record.changesAfter(revision);
    return changes ? { type: "change", ...changes, since, position, epoch: this.epoch } : this.#snapshot(service);
  }

  #positionOf(revision: number): Position {
    return `${this.epoch}:${revision}`;
  }

  /** The revision in one of our positions; undefined for one of another life. */
  #revisionIn(position: Position | undefined): number | undefined {
    if (!position?.startsWith(`${this.epoch}:`)) return undefined;
    const revision = Number(position.slice(this.epoch.length + 1));
    return Number.isSafeInteger(revision) ? revision : undefined;
  }

  #makeRoom(): void {
    if (this.#services.size < MAX_SERVICES) return;
    const now = this.#clock.now();
    for (const [name, { holders, emptySince }] of this.#services) {
      if (holders.size === 0 && now - emptySince > FORGET_MS) this.#services.delete(name);
    }
    if (this.#services.size < MAX_SERVICES) return;
    throw new DiscoveryError("OVERLOADED", `This registry holds no more than ${MAX_SERVICES} services`);
  }
}
