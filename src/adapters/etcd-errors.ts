import { DiscoveryError, type ErrorCode } from "../model/errors.js";
import type { HttpResponse } from "../runtime/http.js";

/** What gRPC's status codes are to us, as far as etcd uses them. */
const MEANINGS: Readonly<Record<number, ErrorCode>> = {
  4: "UNAVAILABLE",
  7: "UNAUTHORIZED",
  8: "OVERLOADED",
  14: "UNAVAILABLE",
  16: "UNAUTHORIZED",
};

/** What etcd, or who stands in its place, says; what that is to us; what can be done. */
const EXPLANATIONS: readonly (readonly [RegExp, ErrorCode, string])[] = [
  [/lease not found/, "LEASE_LOST", ""],
  [/user name is empty/, "UNAUTHORIZED", "; it wants a username and a password, or a token"],
  [/authentication failed/, "UNAUTHORIZED", "; are username and password right?"],
  [/invalid auth token|auth store is old/, "UNAUTHORIZED", "; has the token run out?"],
  [/permission denied/i, "UNAUTHORIZED", "; the user needs a role with readwrite on the prefix"],
  [/database space exceeded/, "OVERLOADED", "; its quota is used up: compact it, then disarm the alarm"],
  [/no leader|leader changed|request timed out/, "UNAVAILABLE", "; has the cluster a quorum?"],
  [/HTTP request to an HTTPS server/, "PROTOCOL", "; it speaks TLS: is it https://, or etcd+https:// in a URL?"],
];
const NOT_ETCD = "; is that the client port of an etcd, 3.4 or newer, with its HTTP gateway enabled?";
/** The most of an answer in plain text that an error quotes, in characters. */
const MAX_QUOTED = 200;

/** What an etcd gives as the reason of a refusal. */
export interface Complaint {
  /** gRPC's status code, where it names one. */
  readonly grpc: number | undefined;
  readonly text: string;
}

/** Builds of etcd differ in where they put it: `{code, message}`, `{error, code}`, or `{error: {code, message}}`. */
export function complaintIn(body: unknown): Complaint {
  if (typeof body !== "object" || body === null) {
    const text = typeof body === "string" && !body.startsWith("<") ? (body.trim().split("\n")[0] ?? "") : "";
    return { grpc: undefined, text: text.slice(0, MAX_QUOTED) };
  }
  const { code, grpc_code, message, error } = body as Readonly<Record<string, unknown>>;
  if (typeof error === "object" && error !== null) return complaintIn(error);
  const grpc = [code, grpc_code].find((each) => typeof each === "number") as number | undefined;
  const text = [message, error].find((each) => typeof each === "string") as string | undefined;
  return { grpc, text: (text ?? "").slice(0, MAX_QUOTED) };
}

/** From a refusal to the error that says what was asked, what came back, and what can be done. */
export function refusalOf(name: string, path: string, { status, headers, body }: HttpResponse): DiscoveryError {
  const { grpc, text } = complaintIn(body);
  const seconds = Number(headers["retry-after"]);
  const retryAfterMs = Number.isFinite(seconds) ? seconds * 1_000 : undefined;
  const [code, advice] = meaningOf(status, grpc, text);
  const message = `${name} answered POST ${path} with ${status}${text ? `: ${text}` : ""}${advice}`;
  return new DiscoveryError(code, message, { retryAfterMs });
}

/** What a watch was cancelled for. */
export function cancellationOf(name: string, reason: string): DiscoveryError {
  const [code, advice] = meaningOf(503, undefined, reason);
  return new DiscoveryError(code, `${name} cancelled a watch: ${reason || "without a reason"}${advice}`);
}

function meaningOf(status: number, grpc: number | undefined, text: string): readonly [ErrorCode, string] {
  const found = EXPLANATIONS.find(([pattern]) => pattern.test(text));
  if (found) return [found[1], found[2]];
  const meaning = grpc === undefined ? undefined : MEANINGS[grpc];
  if (meaning) return [meaning, ""];
  if (status === 401 || status === 403) return ["UNAUTHORIZED", ""];
  if (status === 429) return ["OVERLOADED", ""];
  if (grpc === undefined && (status < 500 || status === 501)) return ["PROTOCOL", NOT_ETCD];
  return [status >= 500 ? "UNAVAILABLE" : "REJECTED", ""];
}

/** Whether a token has to be fetched anew. */
export function wantsToken({ status, body }: HttpResponse): boolean {
  if (status < 300) return false;
  const { grpc, text } = complaintIn(body);
  return grpc === 16 || /invalid auth token|user name is empty|auth store is old/.test(text);
}
