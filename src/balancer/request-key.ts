import { invalid } from "../model/fields.js";

/** What calls are told apart by. A number and a bigint are the same key as their decimal digits. */
export type HashKey = string | number | bigint | Uint8Array;

/** What is known of a request when its key is looked for; undici's dispatch options have this form. */
export interface RequestHead {
  /** With its query. */
  readonly path: string;
  /** In any form undici takes: a record, a flat list, or pairs. */
  readonly headers?: unknown;
}

/** Reads the key of a request; undefined if it brings none. */
export type KeyReader = (request: RequestHead) => HashKey | undefined;

/**
 * Where requests carry their key: in a header, in a cookie, in the path (the pattern's first group, else all it matches),
 * or wherever a function finds it.
 */
export type KeyRule = { readonly header: string } | { readonly cookie: string } | { readonly path: RegExp } | KeyReader;

/** The reader for a rule. @throws {DiscoveryError} `INVALID_OPTION` */
export function keyReader(field: string, rule: KeyRule): KeyReader {
  if (typeof rule === "function") return rule;
  if (typeof rule === "object" && rule !== null) {
    if ("header" in rule && typeof rule.header === "string") return fromHeader(rule.header.toLowerCase());
    if ("cookie" in rule && typeof rule.cookie === "string") return fromCookie(rule.cookie);
    if ("path" in rule && rule.path instanceof RegExp) return fromPath(rule.path);
  }
  throw invalid(field, rule, "{ header }, { cookie }, { path: RegExp } or a function");
}

function fromHeader(name: string): KeyReader {
  return ({ headers }) => headerOf(headers, name);
}

function fromCookie(name: string): KeyReader {
  return ({ headers }) => {
    for (const pair of headerOf(headers, "cookie")?.split(";") ?? []) {
      const at = pair.indexOf("=");
      if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
    }
    return undefined;
  };
}

function fromPath(pattern: RegExp): KeyReader {
  const stateless = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, "")); // `g` would go on where it stopped
  return ({ path }) => {
    const match = stateless.exec(path);
    return match ? (match[1] ?? match[0]) : undefined;
  };
}

/** The value of a header, its name in lower case. */
function headerOf(headers: unknown, name: string): string | undefined {
  if (typeof headers !== "object" || headers === null) return undefined;
  for (const [key, value] of pairsOf(headers)) {
    if (String(key).toLowerCase() !== name || value === undefined || value === null) continue;
    return Array.isArray(value) ? value.join("; ") : String(value);
  }
  return undefined;
}

function pairsOf(headers: object): Iterable<readonly [unknown, unknown]> {
  if (Array.isArray(headers) && !Array.isArray(headers[0])) return pairsOfFlat(headers);
  if (Symbol.iterator in headers) return headers as Iterable<readonly [unknown, unknown]>;
  return Object.entries(headers);
}

function* pairsOfFlat(headers: readonly unknown[]): Iterable<readonly [unknown, unknown]> {
  for (let at = 0; at < headers.length; at += 2) yield [headers[at], headers[at + 1]];
}
