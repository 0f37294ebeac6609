import type { Readable } from "node:stream";
import { buildConnector, type Dispatcher, Pool } from "undici";
import { DiscoveryError } from "../model/errors.js";
import { invalid } from "../model/fields.js";
import { adviceFor } from "./http-advice.js";
import { type Carrier, TooLong, textOf, wholeAnswer } from "./http-answer.js";

/** The most one line of a stream may hold, in characters. */
const MAX_LINE_LENGTH = 16 * 1024 * 1024;
/** Sockets per registry: watches, pulls and beats of one process together stay far below Consul's 200 per client. */
const CONNECTIONS = 64;
/** The most of a refusal in plain text that an error quotes, in characters. */
const MAX_DETAIL_LENGTH = 200;
/** A registry that does not accept within a second is away (Nacos, Eureka: 1–3 s). */
const CONNECT_TIMEOUT_MS = 1_000;

/** What a client needs to know of a registry. */
export interface HttpClientOptions {
  /** Names the registry in errors. */
  readonly name: string;
  /** `http://host:port`, without path. */
  readonly origin: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** How many sockets it may open at once. @default 64 */
  readonly connections?: number;
}

/** One request; a `body` is sent as JSON, a `form` as HTML forms are. */
export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  /** The end of its query, which no message tells: whoever reads a proof in a log could use it. */
  readonly untold?: string | undefined;
  readonly signal: AbortSignal;
  readonly body?: unknown;
  readonly form?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether the answer may be plain text; JSON is read all the same. @default false */
  readonly text?: boolean;
  /** Statuses that are answers, not errors; any 2xx always is one. */
  readonly accept?: readonly number[];
}

/** One answer, its JSON body read; `undefined` where there was none. A refusal that is accepted may be plain text. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
}

/** JSON over HTTP towards a registry. Its sockets never keep the process alive: whoever awaits does. */
export interface HttpClient {
  request(request: HttpRequest): Promise<HttpResponse>;
  /** The lines of a streamed answer, as JSON values, until it ends or the signal aborts. */
  lines(request: HttpRequest): AsyncGenerator<unknown>;
  close(): Promise<void>;
}

/** The status behind an error of {@link HttpClient}: its cause, where there is no deeper one. */
export class RefusedWith extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`HTTP ${status}`);
    this.status = status;
  }
}

/** @throws {DiscoveryError} `INVALID_OPTION` if `origin` is no HTTP origin */
export function httpClient(options: HttpClientOptions, carrier?: Carrier): HttpClient {
  const { name, origin } = options;
  const headers = { "accept-encoding": "identity", ...options.headers }; // said of nothing, any encoding would do
  const pool = carrier ?? poolTo(originOf(name, origin), options.connections ?? CONNECTIONS);

  const asked = (request: HttpRequest): Dispatcher.DispatchOptions => {
    const { type, text } = contentOf(request);
    return {
      method: request.method,
      path: request.path + (request.untold ?? ""),
      headers: { ...headers, ...(type === undefined ? {} : { "content-type": type }), ...request.headers },
      body: text ?? null,
    };
  };

  /** The answer, or what a failure on the way means. */
  const tried = <T>(request: HttpRequest, answer: Promise<T>): Promise<T> =>
    answer.catch((cause: unknown) => {
      throw failure(name, request, cause);
    });

  return {
    async request(request) {
      const answer = await tried(request, wholeAnswer(pool, asked(request), request.signal));
      const { status, headers, text } = answer;
      if (status >= 300 && !request.accept?.includes(status)) throw refusal(name, request, status, headers, text);
      refuseEncoded(name, request, headers);
      const strict = status < 300 && request.text !== true;
      return { status, headers, body: strict ? parsed(name, request, text) : jsonOrText(text) };
    },

    async *lines(request) {
      const opened = pool.request({ ...asked(request), signal: request.signal });
      const { statusCode: status, headers: answered, body } = await tried(request, opened);
      if (status >= 300) throw refusal(name, request, status, answered, await tried(request, textOf(body)));
      body.on("error", () => {}); // told to whoever reads; nobody may
      try {
        refuseEncoded(name, request, answered);
        for await (const line of linesOf(body)) yield parsed(name, request, line);
      } catch (cause) {
        throw DiscoveryError.is(cause) ? cause : failure(name, request, cause);
      } finally {
        body.destroy();
      }
    },

    close: () => pool.destroy(),
  };
}

function contentOf({ body, form }: HttpRequest): { readonly type?: string; readonly text?: string } {
  if (form) return { type: "application/x-www-form-urlencoded", text: String(new URLSearchParams(form)) };
  return body === undefined ? {} : { type: "application/json", text: JSON.stringify(body) };
}

function poolTo(origin: string, connections: number): Pool {
  return new Pool(origin, {
    connections,
    connect: unreferenced,
    headersTimeout: 0, // undici's own timers tick once a second: every deadline here is the caller's signal
    bodyTimeout: 0,
  });
}

function originOf(name: string, origin: string): string {
  const field = `${name}.url`;
  let url: URL;
  try {
    url = new URL(origin);
  } catch {
    throw invalid(field, origin, "an http:// or https:// URL");
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") throw invalid(field, origin, "an http:// or https:// URL");
  return url.origin;
}

/** Sockets that undici cannot reference again: an open watch must not keep a process alive. */
const connect = buildConnector({ timeout: CONNECT_TIMEOUT_MS });
const unreferenced: buildConnector.connector = (options, callback) => {
  const socket: unknown = connect(options, (...result) => {
    const [, connected] = result;
    if (connected) detach(connected);
    callback(...result);
  });
  return socket as undefined;
};

function detach(socket: { unref(): unknown; ref(): unknown }): void {
  socket.unref();
  socket.ref = () => socket;
}

async function* linesOf(body: Readable): AsyncGenerator<string> {
  const decoder = new TextDecoder(); // undici's body has no decoder of its own: a character may lie across two chunks
  let rest = "";
  for await (const bytes of body as AsyncIterable<Buffer>) {
    const chunk = decoder.decode(bytes, { stream: true });
    rest += chunk;
    if (!chunk.includes("\n")) {
      if (rest.length > MAX_LINE_LENGTH)
        throw new DiscoveryError("PROTOCOL", `A line of over ${MAX_LINE_LENGTH} characters`);
      continue;
    }
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") yield line;
  }
}

function parsed(name: string, request: HttpRequest, text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DiscoveryError("PROTOCOL", `${said(name, request)} something that is no JSON`, { cause });
  }
}

function isEncoded({ "content-encoding": encoding = "identity" }: HttpResponse["headers"]): boolean {
  return encoding !== "identity";
}

function refuseEncoded(name: string, request: HttpRequest, headers: HttpResponse["headers"]): void {
  if (!isEncoded(headers)) return;
  const what = `content-encoding ${headers["content-encoding"]}, which it was not asked for`;
  throw new DiscoveryError("PROTOCOL", `${said(name, request)} ${what}; does a proxy compress it?`);
}

function jsonOrText(text: string): unknown {
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return text;
  }
}

function said(name: string, { method, path }: HttpRequest): string {
  return `${name} answered ${method} ${path} with`;
}

/** The caller's own abort passes through untouched; anything else means the registry is away. */
function failure(name: string, request: HttpRequest, cause: unknown): unknown {
  const { method, path, signal } = request;
  if (signal.aborted) return signal.reason;
  if (cause instanceof TooLong) return new DiscoveryError("PROTOCOL", `${said(name, request)} ${cause.message}`);
  const { code, advice } = adviceFor(cause);
  return new DiscoveryError(code, `${name} did not answer ${method} ${path}: ${reasonOf(cause)}${advice}`, { cause });
}

/** OpenSSL's messages are lines of source positions; what it calls the reason is not. */
function reasonOf(cause: unknown): string {
  const { reason, message } = (cause ?? {}) as { readonly reason?: unknown; readonly message?: unknown };
  if (typeof reason === "string") return reason;
  return typeof message === "string" ? message : String(cause);
}

function refusal(
  name: string,
  request: HttpRequest,
  status: number,
  headers: HttpResponse["headers"],
  text: string,
): DiscoveryError {
  const problem = problemIn(isEncoded(headers) ? "" : text);
  const message = `${said(name, request)} ${status}${problem.detail ? `: ${problem.detail}` : ""}`;
  const seconds = Number(headers["retry-after"]);
  const retryAfterMs = Number.isFinite(seconds) ? seconds * 1_000 : undefined;
  if (status === 401 || status === 403) return new DiscoveryError("UNAUTHORIZED", message, { retryAfterMs });
  if (status === 409) return new DiscoveryError("ID_CONFLICT", message);
  if (status === 404 && problem.code === "LEASE_UNKNOWN") return new DiscoveryError("LEASE_LOST", message);
  if (status === 429) return new DiscoveryError("OVERLOADED", message, { retryAfterMs });
  const cause = new RefusedWith(status);
  return new DiscoveryError(status >= 500 ? "UNAVAILABLE" : "REJECTED", message, { retryAfterMs, cause });
}

function problemIn(text: string): { detail?: string; code?: string } {
  try {
    const { detail, code } = JSON.parse(text) as Record<string, unknown>;
    return { ...(typeof detail === "string" ? { detail } : {}), ...(typeof code === "string" ? { code } : {}) };
  } catch {
    const [line = ""] = text.trim().split("\n");
    return line === "" || line.startsWith("<") ? {} : { detail: line.slice(0, MAX_DETAIL_LENGTH) };
  }
}
