import type { Position, RegistryUpdate } from "../model/update.js";
import { epochOf, revisionOf, toEvent } from "../wire/json.js";
import type { Departure } from "./departures.js";

/** An update as it goes out, in bytes: made once for all readers, however many there are. */
export class Line {
  readonly text: Buffer;
  readonly type: RegistryUpdate["type"];
  /** Where it leads to; undefined where it tells of no place. */
  readonly position: Position | undefined;
  /** What it follows on, for a change. */
  readonly since: Position | undefined;
  readonly warming: boolean;
  /** Those who are gone for whoever applies it, while somebody waits for that. */
  readonly departures: readonly Departure[];
  #event: Buffer | undefined;

  constructor(service: string, update: RegistryUpdate, departures: readonly Departure[] = []) {
    const event = toEvent(service, update);
    this.text = Buffer.from(`${JSON.stringify(departures.length > 0 ? { ...event, ack: true } : event)}\n`);
    this.departures = departures;
    this.type = update.type;
    this.position = update.type === "absent" ? undefined : update.position;
    this.since = update.type === "change" ? update.since : undefined;
    this.warming = "warming" in update && update.warming === true;
  }

  /** The same as a server-sent event, made when the first reader asks for it. */
  get event(): Buffer {
    this.#event ??= serverSent(this.text, this.position);
    return this.#event;
  }

  /** Whether it leads to `position`, or to a place before that. */
  isNotAfter(position: Position | undefined): boolean {
    if (this.position === undefined || position === undefined) return false;
    if (this.position === position) return true;
    const revision = revisionOf(this.position); // 0: such positions have no order
    return revision > 0 && revision < revisionOf(position) && epochOf(this.position) === epochOf(position);
  }
}

/** A line as a server-sent event; its id is where a browser resumes. */
export function serverSent(line: Buffer, position?: Position): Buffer {
  const id = position === undefined ? "" : `id: ${position}\n`;
  return Buffer.concat([Buffer.from(`${id}data: `), line, Buffer.from("\n")]);
}
