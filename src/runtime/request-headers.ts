import type { OutgoingHttpHeader } from "node:http";
import { invalid } from "../model/fields.js";

/** Every form in which undici takes a request's headers: by name, as a flat list, or as pairs. */
export type RequestHeaders =
  | Record<string, OutgoingHttpHeader | undefined>
  | string[]
  | Iterable<[string, string | string[] | undefined]>
  | null
  | undefined;

const UNSENDABLE = /[^\t\x20-\x7e\x80-\xff]/u; // RFC 9110, section 5.5
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/; // RFC 9110, section 5.6.2

/** The value of a header of a request, whatever its case; the first, if there are several. */
export function headerOf(headers: RequestHeaders, name: string): string | undefined {
  if (typeof headers !== "object" || headers === null) return undefined;
  if (Array.isArray(headers) && !Array.isArray(headers[0])) {
    for (let index = 0; index + 1 < headers.length; index += 2) {
      if (isNamed(headers[index], name)) return firstOf(headers[index + 1]);
    }
    return undefined;
  }
  const pairs = Symbol.iterator in headers ? headers : Object.entries(headers);
  for (const [key, value] of pairs) if (isNamed(key, name)) return firstOf(value);
  return undefined;
}

/** The same headers with one more; one of that name that was there is replaced. */
export function withHeader(headers: RequestHeaders, name: string, value: string): RequestHeaders {
  if (!headers) return { [name]: value };
  if (Array.isArray(headers)) {
    const kept = headers.filter((_, index) => !isNamed(headers[index - (index % 2)], name));
    return [...kept, name, value];
  }
  const pairs = Symbol.iterator in headers ? headers : Object.entries(headers);
  const others = [...pairs].filter(([key]) => !isNamed(key, name));
  return Object.fromEntries([...others, [name, value]]);
}

/**
 * An option that is sent as a header, or as a part of one; absent and empty are the same. It may be a secret: an error
 * tells what is wrong with it and never what it is.
 *
 * @throws {DiscoveryError} `INVALID_OPTION` where no header can carry it: mostly a file's last line break
 */
export function secretOption(field: string, value: unknown): string | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  const allowed = "a text that a header can carry: no line breaks, nothing beyond Latin-1";
  if (typeof value !== "string") throw invalid(field, typeof value, allowed);
  const wrong = UNSENDABLE.exec(value);
  if (wrong === null) return value;
  const code = wrong[0].codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0");
  throw invalid(field, `U+${code} at ${wrong.index} of ${value.length}`, allowed);
}

/** Whether a value can be the name of a header, or of a cookie. */
export function isHeaderName(name: unknown): name is string {
  return typeof name === "string" && TOKEN.test(name);
}

function isNamed(key: unknown, name: string): boolean {
  return typeof key === "string" && key.length === name.length && key.toLowerCase() === name;
}

function firstOf(value: unknown): string | undefined {
  const first = Array.isArray(value) ? value[0] : value;
  return first === undefined || first === null ? undefined : String(first);
}
