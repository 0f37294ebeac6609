import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import type { ServiceInstance } from "../model/instance.js";
import type { RegistryUpdate } from "../model/update.js";
import { epochOf, positionOf, revisionOf, toWire } from "../wire/json.js";

/** Below this, in bytes, compressing costs more than it saves. */
const MIN_COMPRESSED = 1_024;
/** Brotli's default, 11, takes a hundred times as long for a tenth less. */
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } };
const brotli = promisify(brotliCompress);
const compressors = { br: (bytes: Buffer) => brotli(bytes, BROTLI), gzip: promisify(gzip) } as const;
type Encoding = keyof typeof compressors;

/** A body and its headers, ready to be sent again and again. */
interface Encoded {
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer;
}

/** A service's list as it goes out: made once per change, and compressed once per encoding that is asked for. */
export class EncodedList {
  readonly #update: RegistryUpdate;
  readonly #etag: string | undefined;
  readonly #plain: Encoded;
  readonly #compressed: { [encoding in Encoding]?: Promise<Encoded> } = {};

  constructor(service: string, update: RegistryUpdate) {
    const instances = update.type === "reset" ? update.instances : [];
    const body = Buffer.from(listJson(service, update, instances));
    this.#update = update;
    this.#etag = isWarming(update) ? undefined : etagOf(update); // absence proves nothing yet: always tell it in full
    this.#plain = { headers: this.#headers(body), body };
  }

  /** Whether it says the same as that update. */
  isOf(update: RegistryUpdate): boolean {
    const made = this.#update;
    if (made.type !== "reset" || update.type !== "reset" || isWarming(made) !== isWarming(update)) return false;
    return update.position === undefined ? made.instances === update.instances : made.position === update.position;
  }

  /** Answers a request for it: with nothing, if the client has it already. */
  async send(response: ServerResponse, asked: IncomingHttpHeaders): Promise<void> {
    const etag = this.#etag;
    const given = asked["if-none-match"];
    if (given !== undefined && etag !== undefined && isNamed(etag, given)) {
      response.writeHead(304, { etag: `"${etag}"` }).end();
      return;
    }
    const accepted = asked["accept-encoding"];
    const encoding = accepted === undefined ? undefined : encodingIn(accepted);
    const isShort = this.#plain.body.length < MIN_COMPRESSED;
    const { headers, body } = encoding === undefined || isShort ? this.#plain : await this.#in(encoding);
    response.writeHead(200, headers).end(body);
  }

  #in(encoding: Encoding): Promise<Encoded> {
    this.#compressed[encoding] ??= compressors[encoding](this.#plain.body).then((body) => ({
      headers: { ...this.#headers(body, `;${encoding}`), "content-encoding": encoding },
      body,
    }));
    return this.#compressed[encoding];
  }

  #headers({ length }: Buffer, variant = ""): OutgoingHttpHeaders {
    const etag = this.#etag;
    return {
      "content-type": "application/json",
      "content-length": length,
      "cache-control": "no-cache",
      vary: "accept-encoding",
      ...(etag === undefined ? {} : { etag: `"${etag}${variant}"` }),
    };
  }
}

/** A list as JSON: all of a service, or those of it that match a filter. */
export function listJson(service: string, update: RegistryUpdate, instances: readonly ServiceInstance[]): string {
  const position = update.type === "reset" ? update.position : undefined;
  return JSON.stringify({
    service_name: service,
    known: update.type !== "absent",
    epoch: update.epoch ?? epochOf(position),
    revision: revisionOf(position),
    warming: isWarming(update),
    instances: instances.map(toWire),
  });
}

function isWarming(update: RegistryUpdate): boolean {
  return "warming" in update && update.warming === true;
}

function etagOf(update: RegistryUpdate): string | undefined {
  if (update.type !== "reset" || update.position === undefined) return undefined;
  return positionOf(update.epoch ?? epochOf(update.position), revisionOf(update.position));
}

/** Whether `If-None-Match` names this list, in whatever encoding it was sent. */
function isNamed(etag: string, given: string): boolean {
  return given === "*" || given.includes(`"${etag}"`) || given.includes(`"${etag};`);
}

function encodingIn(accepted: string | readonly string[]): Encoding | undefined {
  const text = String(accepted);
  if (/\bbr\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/i.test(text)) return "br";
  return /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/i.test(text) ? "gzip" : undefined;
}
