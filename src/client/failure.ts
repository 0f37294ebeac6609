import type { Outcome } from "../endpoint/endpoint.js";
import { DiscoveryError } from "../model/errors.js";
import { hostPort, type ServiceInstance } from "../model/instance.js";

/** Errors of the request itself: no other instance would take it either. */
const CALLERS_FAULT = new Set([
  ...["UND_ERR_INVALID_ARG", "UND_ERR_NOT_SUPPORTED", "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH"],
  "ERR_INVALID_ARG_TYPE", // a chunk of the body that is neither text nor bytes
]);
/**
 * Errors of this machine or of our own pools: they say nothing about the instance. Where no file handle is left, another
 * instance may have a connection that is open; to wait for a handle instead makes calls pile up, and most of them fail.
 */
const OWN_TROUBLE = new Set([
  ...["EMFILE", "ENFILE", "ENOBUFS", "EADDRNOTAVAIL"],
  ...["EAI_AGAIN", "ENETDOWN"], // no name server, no network: every instance would be refused at once
  ...["UND_ERR_CLOSED", "UND_ERR_DESTROYED"],
]);
/** Our own pools say so when the resolver is closed over a call. */
const CLOSED = new Set(["UND_ERR_CLOSED", "UND_ERR_DESTROYED"]);

/** A body's stream was closed before its end. */
const ENDED_EARLY = "UND_ERR_ABORTED";

/** Whether a failed call may be made again. */
export type Again = "never" | "elsewhere";

/** What a failed try means: for the instance, and for what may be done next. */
export interface Verdict {
  readonly outcome: Outcome;
  readonly again: Again;
}

/**
 * Judges an error that came before the response headers.
 *
 * @param unsent nothing had reached the instance
 * @param body what was to be sent
 */
export function verdictOn(error: unknown, unsent: boolean, body: unknown): Verdict {
  const code = codeOf(error);
  if (CALLERS_FAULT.has(code) || isOfBody(error, body)) return { outcome: "cancelled", again: "never" };
  if (OWN_TROUBLE.has(code)) return { outcome: "cancelled", again: "elsewhere" };
  if (unsent && code !== "TIMEOUT" && !code.startsWith("ERR_TLS")) return { outcome: "refused", again: "elsewhere" };
  return { outcome: "failure", again: "elsewhere" };
}

/**
 * Whether the body failed where it comes from, as when a client goes away whose upload is passed on: that says nothing
 * about the instance. Node's streams and {@link FollowedBody} remember what ended them; what has no code is no word of
 * undici's or a socket's.
 */
function isOfBody(error: unknown, body: unknown): boolean {
  if (isReplayable(body)) return false;
  const { errored } = body as { readonly errored?: unknown };
  if (errored !== undefined && errored !== null) return errored === error;
  return codeOf(error) === "" || codeOf(error) === ENDED_EARLY;
}

/**
 * Whether a body that was not sent to its end is slow where it comes from: while the instance takes no more of it, undici
 * pauses a stream, and pulls nothing.
 */
export function isWaitedFor(body: unknown): boolean {
  if (isReplayable(body)) return false;
  const { readableFlowing, isAsked } = body as { readonly readableFlowing?: unknown; readonly isAsked?: unknown };
  return readableFlowing === true || isAsked === true;
}

/** Judges a status. `retryable`: a gateway's or an overloaded instance's word, which another may not repeat. */
export function outcomeOf(status: number): Outcome {
  if (status === 429 || status === 503) return "overloaded";
  return status >= 500 ? "failure" : "success";
}

/** Statuses after which the same call may succeed elsewhere. */
export function worthRetrying(status: number): boolean {
  return status === 502 || status === 503 || status === 504 || status === 429;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** Methods that may be sent twice (RFC 9110, section 9.2.2). */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}

/** Whether a body can be sent again as it is: a stream that was read is gone. */
export function isReplayable(body: unknown): boolean {
  return body === null || body === undefined || typeof body === "string" || ArrayBuffer.isView(body);
}

/** The error a caller gets when no further try is left. */
export function givenUp(
  service: string,
  tries: number,
  { host, port }: ServiceInstance,
  cause: unknown,
  why: string,
): DiscoveryError {
  const where = hostPort(host, port);
  const what = cause instanceof Error ? cause.message || codeOf(cause) : String(cause);
  const counted = tries === 1 ? "after 1 try" : `after ${tries} tries`;
  const closed = CLOSED.has(codeOf(cause));
  const code = closed ? "CLOSED" : DiscoveryError.is(cause, "TIMEOUT") ? "TIMEOUT" : "UNAVAILABLE";
  return new DiscoveryError(code, `The call to "${service}" failed ${counted}, last at ${where}: ${what}. ${why}`, {
    service,
    cause,
  });
}
