import { DiscoveryError, type ErrorCode } from "../model/errors.js";
import { type HttpResponse, RefusedWith } from "../runtime/http.js";
import type { NacosUser } from "./nacos-signature.js";

/** The most of a refusal that an error quotes, in characters. */
const MAX_DETAIL_LENGTH = 200;
/** What Nacos says, with 503 or 429, when it is asked more than its control plugin grants. */
const TOO_MUCH = /flow restricted|over (limit|threshold)|too many/i;
const TOO_LONG = /Metadata.*length/i;
const LOG_IN = /\/login$/;

/** What ends a message about something that is no Nacos. */
export const NO_NACOS = "is that the HTTP port of a Nacos server (8848), and is its context path right?";

/** A request as messages tell it. */
export interface Asked {
  readonly method: string;
  readonly path: string;
}

/**
 * What a refusal is to us, and what can be done about it.
 *
 * @param who names the registry
 * @param user who asked, if that was said
 */
export function refusal(who: string, asked: Asked, answer: HttpResponse, user: NacosUser | undefined): DiscoveryError {
  const { status } = answer;
  const isPassword = status === 500 && LOG_IN.test(asked.path); // nothing of it is quoted
  const detail = isPassword ? "" : detailOf(answer.body);
  const said = `${who} answered ${asked.method} ${asked.path} with ${status}${detail ? `: ${detail}` : ""}`;
  const { code, advice } = isPassword ? wrongPassword(user) : meaningOf(status, detail, user);
  const seconds = Number(answer.headers["retry-after"]);
  const retryAfterMs = Number.isFinite(seconds) ? seconds * 1_000 : undefined;
  const cause = new RefusedWith(status);
  return new DiscoveryError(code, advice ? `${said}; ${advice}` : said, { retryAfterMs, cause });
}

/** A 200 that does not say `ok`: Nacos takes some requests so and does nothing. */
export function notDone(who: string, { method, path }: Asked, body: unknown): DiscoveryError {
  const detail = detailOf(body);
  const readable = body === undefined || typeof body === "object";
  const text = `${who} answered ${method} ${path} with 200 but not with ok: ${detail || "an empty answer"}`;
  return readable
    ? new DiscoveryError("REJECTED", `${text}; nothing was done`)
    : new DiscoveryError("PROTOCOL", `${text}; ${NO_NACOS}`);
}

interface Meaning {
  readonly code: ErrorCode;
  readonly advice?: string;
}

function wrongPassword(user: NacosUser | undefined): Meaning {
  return { code: "UNAVAILABLE", advice: `so 3.0 answers a wrong password: is that of ${user?.name} right?` };
}

function meaningOf(status: number, detail: string, user: NacosUser | undefined): Meaning {
  if (status === 401 || status === 403) {
    const advice = user
      ? `may ${user.name} read and write that namespace, and is the ${user.secret} right?`
      : "it wants a log-in: give username and password";
    return { code: "UNAUTHORIZED", advice };
  }
  if (status === 429 || (status === 503 && TOO_MUCH.test(detail))) return { code: "OVERLOADED" };
  if (status < 400 || status === 404 || status === 405 || status === 410) return { code: "PROTOCOL", advice: NO_NACOS };
  if (TOO_LONG.test(detail)) {
    return { code: "REJECTED", advice: "metadata, tags, zone, version and our own 200 characters share that room" };
  }
  return { code: status >= 500 ? "UNAVAILABLE" : "REJECTED" };
}

/** v3 says what was wrong in `data`, or in `message` alone; v1 in plain text; a web server in a page nobody reads. */
function detailOf(body: unknown): string {
  if (typeof body === "string") {
    const [line = ""] = body.trim().split("\n");
    return line.startsWith("<") ? "" : line.slice(0, MAX_DETAIL_LENGTH);
  }
  const { code, message, data, error } = (body ?? {}) as Readonly<Record<string, unknown>>;
  const told = [code === undefined ? undefined : `code ${String(code)}`, message ?? error, data];
  return told
    .filter((each) => (typeof each === "string" && each !== "") || typeof each === "number")
    .join(", ")
    .slice(0, MAX_DETAIL_LENGTH);
}
