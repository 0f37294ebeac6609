import type { IncomingMessage } from "node:http";
import { Problem } from "./problem.js";

/** The most a request may carry, in bytes. */
const MAX_BYTES = 256 * 1024;
/** How deep objects may stand in each other; a batch of heartbeats needs three. */
const MAX_DEPTH = 16;
const READ_BEFORE =
  "The body was read before the registry saw it: mount the registry in front of whatever parses bodies";
const NOTHING = Buffer.alloc(0);
const JSON_TYPE = /^application\/json *(?:;|$)/i;

/** Fields of a request, none of them believed yet. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads a JSON object from a request and hands it on; nothing of it was checked. One of the two is called, once: no
 * promise, for there are none so many as of these.
 *
 * @param refused takes 400 malformed, 413 too large, 415 not JSON, and what the socket fails with
 */
export function takeFields(
  request: IncomingMessage,
  taken: (fields: Fields) => void,
  refused: (error: unknown) => void,
): void {
  const type = request.headers["content-type"];
  if (type !== "application/json" && !JSON_TYPE.test(type ?? "")) {
    return refused(new Problem(415, "UNSUPPORTED_MEDIA_TYPE", "The body must be application/json"));
  }
  if (request.readableEnded) return takeRead(request, taken, refused);
  let body: Buffer | undefined; // most come in one piece
  let pieces: Buffer[] | undefined;
  let size = 0;
  let ended = false;
  request.on("data", (piece: Buffer) => {
    const before = size;
    size += piece.length;
    if (size > MAX_BYTES) {
      if (before <= MAX_BYTES) refused(new Problem(413, "TOO_LARGE", `The body must not exceed ${MAX_BYTES} bytes`));
      return; // the rest is dropped
    }
    if (!body) body = piece;
    else if (pieces) pieces.push(piece);
    else pieces = [body, piece];
  });
  request.on("error", (error) => {
    if (!ended) refused(error);
  });
  request.on("end", () => {
    ended = true;
    if (size > MAX_BYTES) return;
    let fields: Fields;
    try {
      fields = parseFields((pieces ? Buffer.concat(pieces, size) : (body ?? NOTHING)).toString("utf8"));
    } catch (error) {
      return refused(error);
    }
    taken(fields);
  });
}

/** The same where somebody has read the body before, such as `express.json()`: nothing more would ever come. */
function takeRead(
  request: IncomingMessage & { readonly body?: unknown },
  taken: (fields: Fields) => void,
  refused: (error: unknown) => void,
): void {
  const { body } = request;
  const isText = typeof body === "string" || Buffer.isBuffer(body);
  let fields: Fields;
  try {
    if (!isText && (typeof body !== "object" || body === null)) throw new Problem(500, "INTERNAL", READ_BEFORE);
    fields = parseFields(isText ? String(body) : JSON.stringify(body));
  } catch (error) {
    return refused(error);
  }
  taken(fields);
}

/** {@link takeFields} for whoever has time. */
export function readFields(request: IncomingMessage): Promise<Fields> {
  return new Promise((resolve, reject) => takeFields(request, resolve, reject));
}

/** @throws {Problem} 400 */
export function parseFields(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed("it is no JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed("it is no JSON object");
  const keys = keysIn(value, 0);
  if (colonsIn(text) !== keys && membersIn(text) !== keys) throw malformed("a key stands twice");
  return value as Fields;
}

function malformed(why: string): Problem {
  return new Problem(400, "MALFORMED", `The body cannot be used: ${why}`);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;

/** Never less than the members there are, and counted four times as fast: as many as keys, and no key stands twice. */
function colonsIn(text: string): number {
  let colons = 0;
  for (let index = text.indexOf(":"); index >= 0; index = text.indexOf(":", index + 1)) colons++;
  return colons;
}

/** `JSON.parse` silently keeps the last of two equal keys; so the members are counted, as colons outside of strings. */
function membersIn(text: string): number {
  let members = 0;
  let quoted = false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (quoted) {
      if (code === BACKSLASH) index++;
      else if (code === QUOTE) quoted = false;
    } else if (code === QUOTE) quoted = true;
    else if (code === COLON) members++;
  }
  return members;
}

/** How many keys there are, at any depth; none of them may be one that means something to JavaScript. */
function keysIn(value: object, depth: number): number {
  if (depth > MAX_DEPTH) throw malformed(`it is more than ${MAX_DEPTH} levels deep`);
  let keys = 0;
  if (Array.isArray(value)) {
    for (const each of value) if (typeof each === "object" && each !== null) keys += keysIn(each, depth + 1);
    return keys;
  }
  for (const key in value) {
    if (key === "__proto__" || key === "constructor" || key === "prototype") throw malformed(`it has a key ${key}`);
    const each = (value as Fields)[key];
    keys += typeof each === "object" && each !== null ? 1 + keysIn(each, depth + 1) : 1;
  }
  return keys;
}
