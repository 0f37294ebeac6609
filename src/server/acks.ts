import { numberIn, serviceName } from "../model/fields.js";
import type { Fields } from "./body.js";
import type { Departures } from "./departures.js";
import { Problem } from "./problem.js";
import type { Answer } from "./send.js";

/** A stream whose reader acknowledges. */
export interface AcknowledgingStream {
  readonly id: string;
  /** The latest revision it was sent: of one service, or of all; undefined for a service it does not watch. */
  sentUpTo(service: string | undefined): number | undefined;
}

/** Takes what readers acknowledge, each by the id its stream began with. */
export class Acks {
  readonly #departures: Departures;
  readonly #streams = new Map<string, AcknowledgingStream>();

  constructor(departures: Departures) {
    this.#departures = departures;
  }

  opened(stream: AcknowledgingStream): void {
    this.#streams.set(stream.id, stream);
  }

  closed(stream: AcknowledgingStream): void {
    this.#streams.delete(stream.id);
    this.#departures.gone(stream);
  }

  /** @throws {Problem} 404 `WATCH_UNKNOWN`, 422 for what was never sent */
  async take(fields: Fields): Promise<Answer> {
    const { watch_id, service_name, revision: given } = fields;
    if (typeof watch_id !== "string") {
      throw new Problem(422, "REJECTED", "watch_id must be that of the stream's hello", { field: "watch_id" });
    }
    const revision = numberIn("revision", given, 0, Number.MAX_SAFE_INTEGER, true);
    const service = service_name == null ? undefined : serviceName("service_name", service_name);
    const stream = this.#streams.get(watch_id);
    if (!stream) throw new Problem(404, "WATCH_UNKNOWN", "No open watch that acknowledges has this watch_id");
    const sent = stream.sentUpTo(service);
    if (sent === undefined) {
      throw new Problem(422, "REJECTED", `service_name ${service} is not watched there`, { field: "service_name" });
    }
    if (revision > sent) {
      throw new Problem(422, "REJECTED", `revision ${revision} was not sent yet, only ${sent}`, { field: "revision" });
    }
    this.#departures.acknowledged(stream, revision, service);
    return { status: 200, body: {} };
  }
}
