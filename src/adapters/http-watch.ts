import { DiscoveryError } from "../model/errors.js";
import type { Position, RegistryUpdate } from "../model/update.js";
import type { HttpClient } from "../runtime/http.js";
import { fromEvent, type WireEvent } from "../wire/json.js";

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

  /** The updates of one service. Throws when the stream breaks. */
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
    const lines = this.#client.lines({ method: "POST", path: "/v1/watch", signal, body: { services } });
    for await (const line of lines) {
      if (signal.aborted) return;
      this.#deliver(line);
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

  #deliver(line: unknown): void {
    const update = fromEvent(line);
    if (!update) return;
    const { service_name } = line as WireEvent;
    if (service_name === undefined) {
      for (const readers of this.#readers.values()) for (const reader of readers) reader.alive();
      return;
    }
    for (const reader of this.#readers.get(service_name) ?? []) reader.push(update);
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

/** One consumer of the stream: what it has not yet taken. */
class Reader {
  position: Position | undefined;
  #waiting: RegistryUpdate[] = [];
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(position: Position | undefined) {
    this.position = position;
  }

  push(update: RegistryUpdate): void {
    if (this.#waiting.length >= MAX_WAITING) {
      return this.fail(new DiscoveryError("OVERLOADED", "The watch's reader fell behind"));
    }
    if (update.type !== "absent" && update.position !== undefined) this.position = update.position;
    this.#waiting.push(update);
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

  async next(): Promise<RegistryUpdate> {
    for (;;) {
      const update = this.#waiting.shift();
      if (update) return update;
      if (this.#failure) throw this.#failure.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
