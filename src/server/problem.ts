import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import { DiscoveryError, type ErrorCode } from "../model/errors.js";

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
  CLOSED: 503,
  UNAVAILABLE: 503,
  TIMEOUT: 503,
};

/** What the wire calls our own fields. */
const WIRE_FIELDS: Readonly<Record<string, string>> = {
  service: "service_name",
  ttlMs: "ttl",
};

/** Any error as a refusal; what nobody foresaw is a 500 that tells nothing of our inside. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (!DiscoveryError.is(error)) return new Problem(500, "INTERNAL", "The registry failed to answer");
  const code =
    error.code === "LEASE_LOST" ? "LEASE_UNKNOWN" : error.code === "INVALID_OPTION" ? "REJECTED" : error.code;
  const field = error.field === undefined ? undefined : wireName(error.field);
  const detail = error.message.replace(/ \([A-Z_]+\)$/, "").replace(error.field ?? "", field ?? "");
  return new Problem(STATUS[error.code] ?? 500, code, detail, field === undefined ? {} : { field });
}

function wireName(field: string): string {
  const name = field.replace(/^instance\./, "");
  return WIRE_FIELDS[name] ?? name;
}

/** Sends a refusal, unless the answer has begun already. */
export function sendProblem(response: ServerResponse, error: unknown): void {
  const { status, code, message, extra, headers } = problemOf(error);
  if (response.headersSent || response.destroyed) return void response.destroy();
  const body = {
    type: "about:blank",
    title: code,
    status,
    code,
    detail: message,
    request_id: randomUUID(),
    ...extra,
  };
  const json = JSON.stringify(body);
  const type = "application/problem+json";
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(json),
    ...headers,
  });
  response.end(json);
}
