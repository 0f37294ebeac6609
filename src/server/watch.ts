import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { Position } from "../model/update.js";
import type { Registry } from "../registry/registry.js";
import type { Cancel, Clock } from "../runtime/clock.js";
import { revisionOf } from "../wire/json.js";
import type { AcknowledgingStream, Acks } from "./acks.js";
import type { Hub, Listener } from "./hub.js";
import { type Line, serverSent } from "./line.js";

/** Time between two signs of life, in milliseconds. */
const PING_MS = 15_000;
/** A reader that leaves more than this unread, in bytes, is cut; it resumes where it was. */
const MAX_UNREAD = 1024 * 1024;
const PING = Buffer.from('{"event":"ping"}\n');
const PING_EVENT: Buffer = serverSent(PING);

/** Services of a watch, and from where each goes on. */
export type Wanted = ReadonlyMap<string, Position | undefined>;

/** What a stream needs of the server it is part of. */
export interface WatchContext {
  readonly registry: Registry;
  readonly hub: Hub;
  readonly clock: Clock;
  readonly acks: Acks;
}

/** How a reader wants its stream. */
export interface StreamForm {
  /** Server-sent events, not lines. */
  readonly asEvents: boolean;
  /** It will say what it has applied, so that those who leave may wait for that. */
  readonly acks: boolean;
}

/** What a reader was told of a service. */
interface Told {
  /** Where that led to; undefined as long as the service is absent. */
  position: Position | undefined;
  state: "nothing" | "absent" | "known";
  warming: boolean;
  /** While the registry is asked, news wait here. */
  news: Line[] | undefined;
}

/**
 * Streams one reader's services to it until it leaves.
 *
 * Each service begins with the registry's answer to where the reader was, and goes on with the lines all readers share.
 * A shared line that does not follow on what this reader was told is not sent: the registry is asked from there. So
 * every reader hears each change once and in order, or the whole list.
 */
export class WatchStream implements Listener, AcknowledgingStream {
  readonly id: string = randomUUID();
  readonly acknowledges: boolean;
  readonly #context: WatchContext;
  readonly #response: ServerResponse;
  readonly #asEvents: boolean;
  readonly #told = new Map<string, Told>();
  readonly #leave: (() => void)[] = [];
  readonly #halt = new AbortController();
  #maxUnread = MAX_UNREAD;
  #cancelPing: Cancel = () => {};

  constructor(context: WatchContext, response: ServerResponse, { asEvents, acks }: StreamForm) {
    this.acknowledges = acks;
    this.#context = context;
    this.#response = response;
    this.#asEvents = asEvents;
  }

  /** Resolves when every service has begun; the stream goes on after that. */
  async run(wanted: Wanted): Promise<void> {
    const response = this.#response;
    response.once("close", () => this.#end());
    response.on("drain", () => this.#allow(0));
    const type = this.#asEvents ? "text/event-stream" : "application/x-ndjson";
    const cache = "no-store, no-transform"; // a middleware that compresses would hold back what it is told
    response.writeHead(200, { "content-type": type, "cache-control": cache });
    if (this.acknowledges) this.#context.acks.opened(this);
    const hello = Buffer.from(`${JSON.stringify({ event: "hello", watch_id: this.id })}\n`);
    this.#write(this.#asEvents ? serverSent(hello) : hello);
    this.#ping();
    for (const [service, since] of wanted) {
      await this.#drained(); // a reader of many long lists is not a slow one
      if (this.#halt.signal.aborted) return;
      const told: Told = { position: undefined, state: "nothing", warming: false, news: [] };
      this.#told.set(service, told);
      this.#leave.push(this.#context.hub.join(service, this)); // before the list: nothing is missed in between
      await this.#ask(service, told, since);
    }
  }

  line(service: string, line: Line, atOnce: boolean): void {
    const told = this.#told.get(service);
    if (!told || line.type === "current") return;
    if (told.news) told.news.push(line);
    else if (isToldAlready(told, line)) return;
    else if (line.type === "reset" || followsOn(told, line)) this.#tell(told, line);
    else this.#ask(service, told, told.position).catch(() => this.cut());
    if (atOnce) this.#response.socket?.uncork(); // Node gathers what is written in one turn, and sends it after the answer
  }

  cut(): void {
    this.#response.destroy();
  }

  sentUpTo(service: string | undefined): number | undefined {
    if (service === undefined) return Math.max(0, ...Array.from(this.#told.values(), latest));
    const told = this.#told.get(service);
    return told && latest(told);
  }

  /** Asks the registry where the service stands now, then goes on with the news. */
  async #ask(service: string, told: Told, since: Position | undefined): Promise<void> {
    told.news = [];
    const { registry, hub } = this.#context;
    const update = await registry.list(service, { since, signal: this.#halt.signal });
    if (this.#halt.signal.aborted) return;
    const line = hub.lineOf(service, update);
    if (told.state === "nothing" || (line.type !== "current" && !isToldAlready(told, line))) this.#tell(told, line);
    const news = told.news;
    told.news = undefined;
    for (const each of news) this.line(service, each, false);
  }

  #tell(told: Told, line: Line): void {
    told.position = line.position;
    told.state = line.type === "absent" ? "absent" : "known";
    if (line.type !== "change") told.warming = line.warming;
    this.#write(this.#asEvents ? line.event : line.text);
    for (const departure of line.departures) departure.told(this, latest(told));
    if (line.type === "reset") this.#allow(line.text.length); // a list longer than the limit may take its time
  }

  #write(bytes: Buffer): void {
    const response = this.#response;
    if (response.destroyed || response.writableEnded) return; // ended by whoever has mounted the server
    if (response.writableLength > this.#maxUnread) response.destroy();
    else response.write(bytes);
  }

  #allow(more: number): void {
    this.#maxUnread = more === 0 ? MAX_UNREAD : Math.max(this.#maxUnread, MAX_UNREAD + more);
  }

  #drained(): Promise<void> | undefined {
    const response = this.#response;
    if (!response.writableNeedDrain || response.destroyed) return undefined;
    return new Promise((resolve) => {
      const done = (): void => {
        response.off("drain", done);
        response.off("close", done);
        resolve();
      };
      response.on("drain", done);
      response.on("close", done);
    });
  }

  #ping(): void {
    this.#cancelPing = this.#context.clock.schedule(PING_MS, () => {
      this.#write(this.#asEvents ? PING_EVENT : PING);
      this.#ping();
    });
  }

  #end(): void {
    this.#halt.abort();
    this.#cancelPing();
    if (this.acknowledges) this.#context.acks.closed(this);
    for (const leave of this.#leave) leave();
  }
}

function isToldAlready(told: Told, line: Line): boolean {
  if (line.type === "absent") return told.state === "absent" && told.warming === line.warming;
  const warmedUp = line.type === "reset" && told.warming && !line.warming; // which is news, whatever is listed
  return line.isNotAfter(told.position) && !(warmedUp && line.position === told.position);
}

function latest({ position }: Told): number {
  return revisionOf(position);
}

/** Whether a change comes right after what was told. */
function followsOn(told: Told, line: Line): boolean {
  return line.type === "change" && line.since !== undefined && line.since === told.position;
}
