import { invalid } from "../model/fields.js";
import { headerOf, isHeaderName, type RequestHeaders } from "../runtime/request-headers.js";

/** What calls are told apart by. A number and a bigint are the same key as their decimal digits. */
export type HashKey = string | number | bigint | Uint8Array;

/** What a rule may look at; undici's dispatch options have this form. */
export interface KeyedRequest {
  /** With its query. */
  readonly path: string;
  readonly method?: string;
  readonly headers?: RequestHeaders;
  readonly origin?: string | URL | undefined;
}

/** Reads the key of a request; undefined if it brings none. */
export type KeyReader = (request: KeyedRequest) => HashKey | undefined;

/**
 * Where a call that names no key has its key from: a header, a cookie, a part of the path (a segment counted from 0, or
 * what an expression matches, its first group if it has one), or what a function says.
 */
export type KeyRule =
  | { readonly header: string }
  | { readonly cookie: string }
  | { readonly path: RegExp | number }
  | KeyReader;

/** Makes a rule ready. @throws {DiscoveryError} `INVALID_OPTION`, naming `field` */
export function keyReader(field: string, rule: KeyRule): KeyReader {
  if (typeof rule === "function") return rule;
  const entries: readonly [string, unknown][] = typeof rule === "object" && rule !== null ? Object.entries(rule) : [];
  const [kind, what] = entries[0] ?? [];
  if (entries.length === 1) {
    if (kind === "header" && isHeaderName(what)) return fromHeader(what.toLowerCase());
    if (kind === "cookie" && isHeaderName(what)) return fromCookie(what);
    if (kind === "path" && typeof what === "number" && Number.isInteger(what) && what >= 0) return fromSegment(what);
    if (kind === "path" && what instanceof RegExp) return fromMatch(what);
  }
  throw invalid(
    field,
    rule,
    '{ header: "x-user" }, { cookie: "sid" }, { path: 2 }, { path: /expression/ } or a function',
  );
}

function fromHeader(name: string): KeyReader {
  return ({ headers }) => headerOf(headers, name);
}

function fromCookie(name: string): KeyReader {
  const begins = `${name}=`;
  return ({ headers }) => {
    const cookies = headerOf(headers, "cookie")?.split(";") ?? [];
    for (const cookie of cookies) if (cookie.trimStart().startsWith(begins)) return cookie.trim().slice(begins.length);
    return undefined;
  };
}

function fromSegment(index: number): KeyReader {
  return ({ path }) => {
    const end = path.indexOf("?");
    return (end < 0 ? path : path.slice(0, end)).split("/")[index + 1] || undefined;
  };
}

function fromMatch(expression: RegExp): KeyReader {
  const stateless = new RegExp(expression.source, expression.flags.replace(/[gy]/g, "")); // they go on where they stopped
  return ({ path }) => {
    const match = stateless.exec(path);
    return match?.[1] ?? match?.[0];
  };
}
