import { invalid } from "../model/fields.js";
import type { DispatchOptions } from "./attempt.js";
import { headerOf, isHeaderName } from "./request-headers.js";

/** What a rule may look at. */
export type KeyedRequest = Pick<DispatchOptions, "path" | "method" | "headers" | "origin">;

/**
 * Where a call that names no key has its key from: a header, a cookie, a part of the path (a segment counted from 0, or
 * what an expression matches, its first group if it has one), or what a function says.
 */
export type KeyRule =
  | { readonly header: string }
  | { readonly cookie: string }
  | { readonly path: RegExp | number }
  | ((request: KeyedRequest) => string | undefined);

/** Makes a rule ready. @throws {DiscoveryError} `INVALID_OPTION`, naming `path` */
export function keyRule(path: string, rule: KeyRule): (request: KeyedRequest) => string | undefined {
  if (typeof rule === "function") return rule;
  const entries: readonly [string, unknown][] = typeof rule === "object" && rule !== null ? Object.entries(rule) : [];
  const [kind, what] = entries[0] ?? [];
  if (entries.length === 1) {
    if (kind === "header" && isHeaderName(what)) return fromHeader(what.toLowerCase());
    if (kind === "cookie" && isHeaderName(what)) return fromCookie(what);
    if (kind === "path" && typeof what === "number" && Number.isInteger(what) && what >= 0) return fromSegment(what);
    if (kind === "path" && what instanceof RegExp && !what.global && !what.sticky) return fromMatch(what);
  }
  throw invalid(
    path,
    rule,
    '{ header: "x-user" }, { cookie: "sid" }, { path: 2 }, { path: /expression/ } or a function',
  );
}

function fromHeader(name: string) {
  return ({ headers }: KeyedRequest): string | undefined => headerOf(headers, name);
}

function fromCookie(name: string) {
  const begins = `${name}=`;
  return ({ headers }: KeyedRequest): string | undefined => {
    const cookies = headerOf(headers, "cookie")?.split(";") ?? [];
    for (const cookie of cookies) if (cookie.trimStart().startsWith(begins)) return cookie.trim().slice(begins.length);
    return undefined;
  };
}

function fromSegment(index: number) {
  return ({ path }: KeyedRequest): string | undefined => {
    const end = path.indexOf("?");
    return (end < 0 ? path : path.slice(0, end)).split("/")[index + 1] || undefined;
  };
}

function fromMatch(expression: RegExp) {
  return ({ path }: KeyedRequest): string | undefined => {
    const match = expression.exec(path);
    return match?.[1] ?? match?.[0];
  };
}
