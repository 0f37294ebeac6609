import { DiscoveryError } from "../model/errors.js";
import type { Position, RegistryUpdate } from "../model/update.js";
import type { HttpClient } from "../runtime/http.js";
import { fromEvent, type WireEvent } from "../wire/json.js";
import { Acks } from "./http-acks.js";

/** Updates a reader may lag behind before its watch is cut; it then resumes where it was. */
const MAX_WAITING = 1_000;

/**
 * One stream for all services that are watched through one client. It is opened anew, from where each service was,
 * when another service joins; those that leave are no longer asked for at the next opening.
 */
export class SharedWatch {
  readonly #client: HttpClient;
  readonly #readers = new Map<string, Set<Reader>>();
  #stream: AbortController | undefined;
  /** From the wish to open a stream to its first line: whoever joins meanwhile waits for the next opening. */
  #opening = false;
  #joined = false;

  constructor(client: HttpClient) {
    this.#client = client;
  }

  /**
   * The updates of one service. Throws when the stream breaks. An update counts as applied when the next one is asked
   * for: whoever leaves before that has applied nothing.
   */
  async *of(service: string, since: Position | undefined, signal: AbortSignal): AsyncGenerator<RegistryUpdate> {
    const reader = new Reader(since);
    const end = (): void => reader.fail(signal.reason);
    if (signal.aborted) return;
    signal.addEventListener("abort", end, { once: true });
    this.#join(service, reader);
    try {
      while (!signal.aborted) yield await reader.next();
    } finally {
      signal.removeEventListener("abort", end);
      this.#leave(service, reader);
    }
  }

  #join(service: string, reader: Reader): void {
    const readers = this.#readers.get(service) ?? new Set();
    this.#readers.set(service, readers.add(reader));
    this.#joined = true;
    this.#reopen();
  }

  #leave(service: string, reader: Reader): void {
    const readers = this.#readers.get(service);
    readers?.delete(reader);
    if (readers?.size === 0) this.#readers.delete(service);
    if (this.#opening) this.#joined = true; // the opening may hang: whoever stays must not hang with it
    if (this.#opening || this.#readers.size === 0) this.#stream?.abort();
  }

  /** However many join in one turn, or while a stream is being opened, it is opened once for all of them. */
  #reopen(): void {
    if (this.#opening) return;
    this.#opening = true;
    queueMicrotask(() => {
      this.#stream?.abort();
      this.#stream = new AbortController();
      void this.#read(this.#stream);
    });
  }

  async #read(stream: AbortController): Promise<void> {
    const { signal } = stream;
    this.#joined = false;
    try {
      const services = Object.fromEntries([...this.#readers].map(([name, readers]) => [name, oldest(readers)]));
      if (this.#readers.size > 0) await this.#follow(services, signal);
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
    if (this.#stream === stream) this.#opened();
  }

  async #follow(services: Readonly<Record<string, Position | null>>, signal: AbortSignal): Promise<void> {
    const body = { services, acks: true };
    const lines = this.#client.lines({ method: "POST", path: "/v1/watch", signal, body });
    let acks: Acks | undefined;
    for await (const line of lines) {
      if (signal.aborted) return;
      acks ??= this.#acksFor(line, signal);
      this.#deliver(line, acks);
      this.#opened();
    }
    throw new DiscoveryError("UNAVAILABLE", "The registry ended the watch");
  }

  /** The stream has begun, or failed to: those who joined too late for it have their turn now. */
  #opened(): void {
    if (!this.#opening) return;
    this.#opening = false;
    if (this.#joined && this.#readers.size > 0) this.#reopen();
  }

  /** The greeting says under which name the stream is acknowledged; older registries ask for nothing. */
  #acksFor(line: unknown, signal: AbortSignal): Acks | undefined {
    const { watch_id } = (line ?? {}) as WireEvent;
    return typeof watch_id === "string" ? new Acks(this.#client, watch_id, signal) : undefined;
  }

  #deliver(line: unknown, acks: Acks | undefined): void {
    const update = fromEvent(line);
    if (!update) return;
    const { service_name, ack, revision } = line as WireEvent;
    if (service_name === undefined) {
      for (const readers of this.#readers.values()) for (const reader of readers) reader.alive();
      return;
    }
    const readers = this.#readers.get(service_name);
    const isAwaited = ack === true && typeof revision === "number";
    const applied = isAwaited ? acks?.after(readers?.size ?? 0, service_name, revision) : undefined;
    for (const reader of readers ?? []) reader.push(update, applied);
  }

  #fail(error: unknown): void {
    this.#joined = false;
    for (const readers of this.#readers.values()) for (const reader of readers) reader.fail(error);
  }
}

/** Where several readers of a service stand apart, all resume with a fresh list. */
function oldest(readers: ReadonlySet<Reader>): Position | null {
  const [first, ...others] = [...readers].map(({ position }) => position);
  return others.every((position) => position === first) ? (first ?? null) : null;
}

/** An update, and who wants to know when it has been applied. */
interface Told {
  readonly update: RegistryUpdate;
  readonly applied: (() => void) | undefined;
}

/** One consumer of the stream: what it has not yet taken. */
class Reader {
  position: Position | undefined;
  readonly #waiting: Told[] = [];
  #applied: (() => void) | undefined;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(position: Position | undefined) {
    this.position = position;
  }

  push(update: RegistryUpdate, applied?: () => void): void {
    if (this.#waiting.length >= MAX_WAITING) {
      return this.fail(new DiscoveryError("OVERLOADED", "The watch's reader fell behind"));
    }
    if (update.type !== "absent" && update.position !== undefined) this.position = update.position;
    this.#waiting.push({ update, applied });
    this.#wake?.();
  }

  /** The stream lives, and nothing changed. */
  alive(): void {
    if (this.#waiting.length === 0) this.push({ type: "current" });
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake?.();
  }

  /** The next update; whoever asks for it has applied the one before. */
  async next(): Promise<RegistryUpdate> {
    this.#applied?.();
    this.#applied = undefined;
    for (;;) {
      const told = this.#waiting.shift();
      if (told) {
        this.#applied = told.applied;
        return told.update;
      }
      if (this.#failure) throw this.#failure.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
