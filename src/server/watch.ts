import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { Registry } from "../registry/registry.js";
import type { Cancel, Clock } from "../runtime/clock.js";
import { type Hub, type Line, type Listener, lineOf } from "./hub.js";

/** Time between two signs of life, in milliseconds. */
const PING_MS = 15_000;
/** A reader that leaves more than this unread, in bytes, is cut; it resumes where it was. */
const MAX_UNREAD = 1024 * 1024;
const PING = Buffer.from('{"event":"ping"}\n');

/** Services of a watch, and from where each goes on. */
export type Wanted = ReadonlyMap<string, string | undefined>;

/** Streams one reader's services to it until it leaves. */
export class WatchStream implements Listener {
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #response: ServerResponse;
  readonly #framed: (line: Buffer) => Buffer;
  readonly #leaving: (() => void)[] = [];
  /** Until the first line of a service is out, its news wait here. */
  readonly #early = new Map<string, Line[]>();
  readonly #last = new Map<string, Line>();
  #cancelPing: Cancel = () => {};

  constructor(registry: Registry, clock: Clock, response: ServerResponse, sse: boolean) {
    this.#registry = registry;
    this.#clock = clock;
    this.#response = response;
    this.#framed = sse ? asServerSentEvent : (line) => line;
    response.writeHead(200, {
      "content-type": sse ? "text/event-stream" : "application/x-ndjson",
      "cache-control": "no-store",
    });
    response.once("close", () => this.#end());
    this.#write(Buffer.from(`${JSON.stringify({ event: "hello", watch_id: randomUUID() })}\n`));
  }

  async run(hub: Hub, wanted: Wanted): Promise<void> {
    this.#ping();
    for (const [service] of wanted) {
      this.#early.set(service, []);
      this.#leaving.push(hub.join(service, this)); // before the list: what happens in between is not missed
    }
    const signal = new AbortController().signal;
    for (const [service, since] of wanted) {
      const update = await this.#registry.list(service, { since, signal });
      if (this.#response.destroyed) return;
      const first = lineOf(service, update);
      this.#send(service, first);
      const early = this.#early.get(service) ?? [];
      this.#early.delete(service);
      for (const line of early) this.line(service, line);
    }
  }

  line(service: string, line: Line): void {
    const early = this.#early.get(service);
    if (early) early.push(line);
    else if (this.#isNews(service, line)) this.#send(service, line);
  }

  cut(): void {
    this.#response.destroy();
  }

  /** Not what this reader was told already. */
  #isNews(service: string, line: Line): boolean {
    const last = this.#last.get(service);
    if (!last || line.type === "current") return line.type !== "current";
    if (line.type === "change") return line.revision > last.revision;
    return line.revision > last.revision || !line.text.equals(last.text); // the end of warming changes no revision
  }

  #send(service: string, line: Line): void {
    this.#last.set(service, line);
    this.#write(line.text);
  }

  #write(line: Buffer): void {
    const response = this.#response;
    if (response.destroyed) return;
    if (response.writableLength > MAX_UNREAD) return void response.destroy();
    response.write(this.#framed(line));
  }

  #ping(): void {
    this.#cancelPing = this.#clock.schedule(PING_MS, () => {
      this.#write(PING);
      this.#ping();
    });
  }

  #end(): void {
    this.#cancelPing();
    for (const leave of this.#leaving) leave();
  }
}

function asServerSentEvent(line: Buffer): Buffer {
  return Buffer.concat([Buffer.from("data: "), line, Buffer.from("\n")]);
}
