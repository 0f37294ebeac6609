import type { IncomingMessage } from "node:http";
import { Problem } from "./problem.js";

/** The most a request may carry, in bytes. */
const MAX_BYTES = 256 * 1024;
const JSON_TYPE = /^application\/json *(?:;|$)/i;
const POISONOUS = /"(?:__proto__|constructor|prototype)"\s*:/;

/** Fields of a request, none of them believed yet. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads a JSON object from a request and hands it on; nothing of it was checked.
 *
 * @throws {Problem} 400 malformed, 413 too large, 415 not JSON
 */
export function readFields(request: IncomingMessage): Promise<Fields> {
  return new Promise((resolve, reject) => {
    if (!JSON_TYPE.test(request.headers["content-type"] ?? "")) {
      request.resume();
      return reject(new Problem(415, "UNSUPPORTED_MEDIA_TYPE", "The body must be application/json"));
    }
    let body: Buffer | undefined; // most come in one piece
    request.on("data", (chunk: Buffer) => {
      if (body === undefined) body = chunk;
      else if (body.length <= MAX_BYTES) body = Buffer.concat([body, chunk]);
    });
    request.on("error", reject);
    request.on("end", () => {
      if (body && body.length > MAX_BYTES) {
        return reject(new Problem(413, "TOO_LARGE", `The body must not exceed ${MAX_BYTES} bytes`));
      }
      try {
        resolve(parseFields(body?.toString("utf8") ?? ""));
      } catch (error) {
        reject(error);
      }
    });
  });
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
  if (POISONOUS.test(text)) throw malformed("it has a key __proto__, constructor or prototype");
  if (membersIn(text) !== keysIn(value)) throw malformed("a key stands twice");
  return value as Fields;
}

function malformed(why: string): Problem {
  return new Problem(400, "MALFORMED", `The body cannot be used: ${why}`);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;

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

function keysIn(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  if (Array.isArray(value)) return value.reduce<number>((sum, each) => sum + keysIn(each), 0);
  let keys = 0;
  for (const key in value) keys += 1 + keysIn((value as Record<string, unknown>)[key]);
  return keys;
}
