import type { IncomingHttpHeaders } from "node:http";
import { headerOf, type RequestHeaders, withHeader } from "../runtime/request-headers.js";
import { isIdempotent, isReplayable } from "./failure.js";
import type { DispatchOptions } from "./handler.js";
import type { CallOptions } from "./options.js";

/** How Envoy tells an upstream which attempt of a call this is; the first is 1, or goes without. */
export const RETRY_HEADER = "x-envoy-attempt-count";

/**
 * Why a call that may have been processed is not sent again; undefined if it may be.
 *
 * @param sent how often it was sent
 */
export function whyNotAgain(
  { idempotent, method, body, headers }: DispatchOptions & CallOptions,
  sent: number,
  tries: number,
  retryHeader: string | undefined,
): string | undefined {
  if (!isReplayable(body)) return "It may have been processed, and its body is a stream that was read.";
  if (!(idempotent ?? isIdempotent(method))) return `It may have been processed, and ${method} is not sent twice.`;
  if (sent >= tries) return `It was sent ${sent} times, the most that is allowed.`;
  if (retryHeader !== undefined && isRetry(headerOf(headers, retryHeader))) {
    return "It is part of a retry already: retries of retries would multiply.";
  }
  return undefined;
}

/** The same call, marked as its `attempt`-th. */
export function marked<T extends { headers?: RequestHeaders }>(options: T, attempt: number, header: string): T {
  return { ...options, headers: withHeader(options.headers, header, String(attempt)) };
}

/** The part of a request's headers that tells whether it is a retry. */
export function retryHeadersIn(incoming: IncomingHttpHeaders | Headers, header: string): Record<string, string> {
  const value = incoming instanceof Headers ? (incoming.get(header) ?? undefined) : incoming[header];
  const first = Array.isArray(value) ? value[0] : value;
  return first !== undefined && isRetry(first) ? { [header]: first } : {};
}

function isRetry(value: string | undefined): boolean {
  return value !== undefined && Number(value) > 1;
}
