import { randomUUID } from "node:crypto";
import { type ServerResponse, STATUS_CODES } from "node:http";
import { DiscoveryError, type ErrorCode, saidBy } from "../model/errors.js";

/** What is quoted back of a request, in characters: a long wrong key must not make a longer answer. */
const MAX_QUOTED = 500;

/** A refusal as it goes out: RFC 9457, with a stable code. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly extra: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    detail: string,
    extra: Readonly<Record<string, unknown>> = {},
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail);
    this.status = status;
    this.code = code;
    this.extra = extra;
    this.headers = headers;
  }
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  INVALID_OPTION: 422,
  ID_CONFLICT: 409,
  LEASE_LOST: 404,
  OVERLOADED: 429,
  UNAUTHORIZED: 403,
  UNSUPPORTED: 501,
  CLOSED: 503,
  UNAVAILABLE: 503,
  TIMEOUT: 503,
};

/** What the wire calls our own codes. */
const WIRE_CODES: Partial<Record<ErrorCode, string>> = { LEASE_LOST: "LEASE_UNKNOWN", INVALID_OPTION: "REJECTED" };
/** What the wire calls our own fields. */
const WIRE_FIELDS: Readonly<Record<string, string>> = { service: "service_name", ttlMs: "ttl" };
/** Whoever was told to come later should wait that long, in seconds. */
const LATER = { "retry-after": "1" } as const;

/** Any error as a refusal; what nobody foresaw is a 500 that tells nothing of our inside. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (!DiscoveryError.is(error)) return new Problem(500, "INTERNAL", "The registry failed to answer");
  const status = STATUS[error.code] ?? 502;
  const field = error.field === undefined ? undefined : wireName(error.field);
  const told = saidBy(error);
  const detail = field === undefined ? told : told.replace(error.field ?? "", () => field);
  const extra = field === undefined ? {} : { field: field.slice(0, MAX_QUOTED) };
  const headers = status === 429 || status === 503 ? LATER : {};
  return new Problem(status, WIRE_CODES[error.code] ?? error.code, detail.slice(0, MAX_QUOTED), extra, headers);
}

function wireName(field: string): string {
  const name = field.startsWith("instance.") ? field.slice("instance.".length) : field;
  return WIRE_FIELDS[name] ?? name;
}

/** Sends a refusal, unless the answer has begun already. */
export function sendProblem(response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) return void response.destroy();
  const { status, code, message: detail, extra, headers } = problemOf(error);
  const title = STATUS_CODES[status];
  const json = JSON.stringify({ type: "about:blank", title, status, code, detail, request_id: randomUUID(), ...extra });
  response.writeHead(status, {
    "content-type": "application/problem+json",
    "content-length": Buffer.byteLength(json),
    ...headers,
  });
  response.end(json);
}
