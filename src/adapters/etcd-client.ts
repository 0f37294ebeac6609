import { DiscoveryError } from "../model/errors.js";
import type { Clock } from "../runtime/clock.js";
import { haltSignal, untilAborted, within } from "../runtime/deadline.js";
import { type HttpClient, type HttpResponse, httpClient } from "../runtime/http.js";
import { EtcdAuth, type EtcdCredentials } from "./etcd-auth.js";
import { cancellationOf, refusalOf, wantsToken } from "./etcd-errors.js";

/**
 * With others to go to, an endpoint that has not answered within this, in milliseconds, is left. Members that wait for a
 * new leader forget what they were asked before: short tries find it sooner, 1–2 s after the old one is gone.
 */
const TRY_MS = 500;
/** With nowhere else to go, so long, in milliseconds: below the 3 s after which our callers give up, so that they learn why. */
const ONLY_TRY_MS = 2_500;
/** Endpoints that refuse at once are asked so many times. */
const ROUNDS = 4;
/** No try begins later than this, in milliseconds: our callers give up after 3 s, and should learn why. */
const LAST_TRY_MS = 2_400;
/** Sockets per endpoint for watches: the gateway needs one for each, and a process may use so many services. */
const WATCH_CONNECTIONS = 1_024;
/** All refusals, to be read here: etcd gives its reasons in the body. */
const REFUSALS = [
  300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 408, 409, 412, 413, 429, 499, 500, 501, 502, 503, 504,
];

/** The fields of an answer. Nothing of them is believed yet. */
export type Fields = Readonly<Record<string, unknown>>;

interface Endpoint {
  readonly name: string;
  readonly http: HttpClient;
  readonly watches: HttpClient;
  /** Ends the watches that are open there. */
  readonly open: Set<(reason: unknown) => void>;
}

/**
 * etcd's HTTP gateway at one or several endpoints. It stays with an endpoint while that answers, goes to the next when
 * it does not, and takes the watches along.
 */
export class EtcdClient {
  readonly name: string;
  readonly #endpoints: readonly Endpoint[];
  readonly #clock: Clock;
  readonly #auth: EtcdAuth;
  readonly #halt = haltSignal();
  #at = 0;

  constructor(origins: readonly string[], credentials: EtcdCredentials, clock: Clock) {
    this.name = `etcd ${origins.join(",")}`;
    this.#clock = clock;
    this.#auth = new EtcdAuth(credentials);
    this.#endpoints = origins.map((origin) => {
      const name = `etcd ${origin}`;
      const watches = httpClient({ name, origin, connections: WATCH_CONNECTIONS });
      return { name, http: httpClient({ name, origin }), watches, open: new Set() };
    });
  }

  /** Asks one question, of the next endpoint if one is away. @throws {DiscoveryError} see `etcd-errors.ts` */
  call(path: string, body: unknown, signal: AbortSignal): Promise<Fields> {
    return this.#somewhere(signal, async (endpoint) => fieldsOf(await this.#asked(endpoint, path, body, signal)));
  }

  /** The results of a watch, from the first on, which says that it stands. Throws when it breaks. */
  async *watch(create: unknown, signal: AbortSignal): AsyncGenerator<Fields> {
    const cut = new AbortController();
    const abort = (reason: unknown): void => cut.abort(reason);
    const follow = (): void => abort(signal.reason);
    signal.addEventListener("abort", follow, { once: true });
    let leave = (): void => {};
    try {
      const { lines, first } = await this.#somewhere(signal, async (endpoint) => {
        const opened = await this.#opened(endpoint, create, cut.signal);
        endpoint.open.add(abort);
        leave = () => void endpoint.open.delete(abort);
        return opened;
      });
      yield first;
      for await (const line of lines) yield resultIn(this.name, line);
      throw new DiscoveryError("UNAVAILABLE", `${this.name} ended a watch`);
    } finally {
      signal.removeEventListener("abort", follow);
      leave();
      abort(new DiscoveryError("CLOSED", "The watch is over"));
    }
  }

  async close(): Promise<void> {
    this.#halt.abort(new DiscoveryError("CLOSED", `${this.name} was closed`));
    await Promise.all(this.#endpoints.flatMap(({ http, watches }) => [http.close(), watches.close()]));
  }

  async #somewhere<T>(signal: AbortSignal, ask: (endpoint: Endpoint) => Promise<T>): Promise<T> {
    const tries = this.#endpoints.length === 1 ? 1 : ROUNDS * this.#endpoints.length;
    const beganAt = this.#clock.now();
    for (let tried = 1; ; tried++) {
      const endpoint = this.#endpoints[this.#at] as Endpoint;
      try {
        return await ask(endpoint);
      } catch (error) {
        if (isAway(error)) this.#leave(endpoint, error); // also where the caller's own time is over
        signal.throwIfAborted();
        if (!isAway(error) || tried >= tries || this.#clock.now() - beganAt > LAST_TRY_MS) throw error;
      }
    }
  }

  /** Whoever else asks goes to the next endpoint as well, unless somebody was faster. */
  #leave(endpoint: Endpoint, reason: unknown): void {
    if (this.#endpoints[this.#at] === endpoint) this.#at = (this.#at + 1) % this.#endpoints.length;
    for (const end of endpoint.open) end(reason);
  }

  /** A request, with a token if one is needed; one that has run out is replaced, once. */
  async #asked(endpoint: Endpoint, path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    const ask = (token?: string): Promise<HttpResponse> => this.#sent(endpoint, path, body, token, signal);
    const token = await this.#tokenFrom(endpoint, signal);
    let answer = await ask(token).catch((error: unknown) => {
      this.#auth.expire(token); // one of a store that has been replaced waits for ever
      throw error;
    });
    if (wantsToken(answer) && this.#auth.expire(token)) answer = await ask(await this.#tokenFrom(endpoint, signal));
    if (answer.status >= 300) throw refusalOf(endpoint.name, path, answer);
    return answer.body;
  }

  #tokenFrom(endpoint: Endpoint, signal: AbortSignal): string | undefined | Promise<string | undefined> {
    const token = this.#auth.token(async (path, body) => {
      const answer = await this.#sent(endpoint, path, body, undefined, this.#halt.signal); // others wait for it too
      return answer.status < 300 ? fieldsOf(answer.body) : refusalOf(endpoint.name, path, answer);
    });
    return token instanceof Promise ? untilAborted(token, signal) : token;
  }

  #sent(
    endpoint: Endpoint,
    path: string,
    body: unknown,
    token: string | undefined,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    return this.#inTime(endpoint, path, signal, (inner) => {
      const headers = authorization(token);
      return endpoint.http.request({ method: "POST", path, body, headers, signal: inner, accept: REFUSALS });
    });
  }

  async #opened(endpoint: Endpoint, create: unknown, signal: AbortSignal) {
    for (let again = false; ; again = true) {
      const token = await this.#tokenFrom(endpoint, signal);
      const request = {
        method: "POST",
        path: "/v3/watch",
        body: create,
        headers: authorization(token),
        signal,
      } as const;
      const lines = endpoint.watches.lines(request);
      const opening = this.#inTime(endpoint, "/v3/watch", signal, () => lines.next());
      const { value, done } = await opening.catch((error: unknown) => {
        void lines.return(undefined).catch(() => {});
        throw error;
      });
      if (done) throw new DiscoveryError("UNAVAILABLE", `${endpoint.name} ended a watch before it began`);
      const first = resultIn(endpoint.name, value);
      if (first["canceled"] !== true) return { lines, first };
      await lines.return(undefined);
      const error = cancellationOf(endpoint.name, String(first["cancel_reason"] ?? ""));
      if (again || error.code !== "UNAUTHORIZED" || !this.#auth.expire(token)) throw error;
    }
  }

  async #inTime<T>(
    { name }: Endpoint,
    path: string,
    signal: AbortSignal,
    ask: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const limitMs = this.#endpoints.length === 1 ? ONLY_TRY_MS : TRY_MS;
    try {
      return await within(path, limitMs, { clock: this.#clock, signal }, ask);
    } catch (cause) {
      if (signal.aborted || !DiscoveryError.is(cause, "TIMEOUT")) throw cause;
      const text = `${name} did not answer POST ${path} within ${limitMs} ms; is it overloaded, or the cluster without a quorum?`;
      throw new DiscoveryError("UNAVAILABLE", text, { cause });
    }
  }
}

/** What is no answer of etcd: nobody there, none in time. */
function isAway(error: unknown): boolean {
  return DiscoveryError.is(error, "UNAVAILABLE") || DiscoveryError.is(error, "TIMEOUT");
}

function authorization(token: string | undefined): Readonly<Record<string, string>> {
  return token === undefined ? {} : { authorization: token };
}

/** A stream's line holds a result or an error. */
function resultIn(name: string, line: unknown): Fields {
  const { result, error } = (line ?? {}) as Fields;
  if (error !== undefined) throw refusalOf(name, "/v3/watch", { status: 503, headers: {}, body: { error } });
  return fieldsOf(result);
}

/** An answer as fields; in a stream's single answer they are the result. @throws {DiscoveryError} `PROTOCOL` */
function fieldsOf(body: unknown): Fields {
  const fields = (typeof body === "object" && body !== null ? body : {}) as Fields;
  const { result } = fields;
  const told = (typeof result === "object" && result !== null ? result : fields) as Fields;
  if (typeof told["header"] !== "object") {
    throw new DiscoveryError("PROTOCOL", "An answer without etcd's header; is that the client port of an etcd?");
  }
  return told;
}
