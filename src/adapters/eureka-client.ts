import { DiscoveryError, type ErrorCode } from "../model/errors.js";
import { invalid } from "../model/fields.js";
import type { Clock } from "../runtime/clock.js";
import { within } from "../runtime/deadline.js";
import { type HttpClient, type HttpRequest, type HttpResponse, httpClient } from "../runtime/http.js";
import { type Explanation, explained } from "./explained.js";

/** Beyond that, in milliseconds, a peer counts as away: it answers in 30 ms even when pressed (1,000 requests at once: 320). */
const ANSWER_MS = 5_000;

/** One question, its path below Eureka's own. */
export type EurekaRequest = HttpRequest;

/** One server of a cluster. */
interface Peer {
  readonly name: string;
  readonly path: string;
  readonly http: HttpClient;
  /** Whether it has shown that it is a Eureka and its path is right. */
  proven: boolean;
}

/**
 * Eureka's HTTP API at one of several peers. It stays with one as long as that works: another knows neither what was
 * just registered nor, for half a second, who was.
 */
export class EurekaClient {
  readonly name: string;
  readonly #peers: readonly Peer[];
  readonly #clock: Clock;
  #current = 0;

  /** @throws {DiscoveryError} `INVALID_OPTION` */
  constructor(field: string, urls: readonly string[], token: string | undefined, clock: Clock) {
    this.#peers = urls.map((url) => peerAt(field, url, token));
    if (this.#peers.length === 0) throw invalid(field, urls, "the URL of at least one Eureka");
    this.name = `Eureka ${this.#peers.map(({ name, path }) => `${name}${path}`).join(", ")}`;
    this.#clock = clock;
  }

  /**
   * Asks the peer that worked last, and the next where that is away.
   *
   * @throws {DiscoveryError} `PROTOCOL` if there is no Eureka at that path, and what a request may throw
   */
  async request(request: EurekaRequest): Promise<HttpResponse> {
    for (let left = this.#peers.length; ; left--) {
      const index = this.#current;
      try {
        return await this.#ask(this.#peers[index] as Peer, request);
      } catch (error) {
        if (!isAway(error)) throw error;
        if (this.#current === index) this.#current = (index + 1) % this.#peers.length;
        if (left <= 1 || request.signal.aborted) throw error;
      }
    }
  }

  /** The longest a question may take, in milliseconds, should every peer hang. */
  get patienceMs(): number {
    return this.#peers.length * ANSWER_MS;
  }

  async close(): Promise<void> {
    await Promise.all(this.#peers.map(({ http }) => http.close()));
  }

  async #ask(peer: Peer, request: EurekaRequest): Promise<HttpResponse> {
    const scope = { clock: this.#clock, signal: request.signal };
    const what = `${request.method} ${peer.path}/${request.path} of Eureka ${peer.name}`;
    const answer = await within(what, ANSWER_MS, scope, (signal) => at(peer, { ...request, signal }));
    if (answer.status !== 404) peer.proven = true;
    else if (!peer.proven) await this.#prove(peer, request.signal);
    return answer;
  }

  /** A 404 says "unknown", but also "no Eureka here"; names that stand for instances are never answered with one. */
  async #prove(peer: Peer, signal: AbortSignal): Promise<void> {
    await within(`proof of Eureka ${peer.name}`, ANSWER_MS, { clock: this.#clock, signal }, (inner) =>
      at(peer, { method: "GET", path: "vips/none", signal: inner, accept: [403] }),
    );
    peer.proven = true;
  }
}

function at(peer: Peer, request: EurekaRequest): Promise<HttpResponse> {
  return explained(peer.http.request({ ...request, path: `${peer.path}/${request.path}` }), EXPLANATIONS);
}

function peerAt(field: string, text: string, token: string | undefined): Peer {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "") {
    throw invalid(field, text.replace(/\/\/.*@/s, "//…@").replace(/\?.*$/s, "?…"), "like http://host:8761/eureka");
  }
  const { origin, username, password, pathname } = url;
  const secret = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const basic = username === "" ? undefined : `Basic ${Buffer.from(secret).toString("base64")}`;
  const authorization = basic ?? (token ? `Bearer ${token}` : undefined);
  const headers = { accept: "application/json", ...(authorization ? { authorization } : {}) };
  const path = pathname.replace(/\/+$/, "");
  return { name: origin, path, http: httpClient({ name: `Eureka ${origin}`, origin, headers }), proven: false };
}

/** Whether another peer may do better. The caller's own deadline counts, its change of mind does not. */
function isAway(error: unknown): boolean {
  return ["UNAVAILABLE", "TIMEOUT", "OVERLOADED"].some((code) => DiscoveryError.is(error, code as ErrorCode));
}

const NO_EUREKA =
  "is there a Eureka? Spring's path is /eureka, Netflix's own /eureka/v2, and a context path comes before";

/** What an answer means, and what can be done. The status of a refusal stands at the end or before its detail. */
const EXPLANATIONS: readonly Explanation[] = [
  [/with 401\b/, "UNAUTHORIZED", "are user and password in the URL, and right? eureka://user:password@host"],
  [
    /(POST|PUT|DELETE) \S+ with 403\b/,
    "UNAUTHORIZED",
    "may that user write? Spring Security also refuses so while its CSRF protection covers /eureka/**",
  ],
  [/with (404|405|406|415)\b/, "PROTOCOL", NO_EUREKA],
  [/with 30\d/, "PROTOCOL", `redirects are not followed, be it to a login or to https; ${NO_EUREKA}`],
  [/no JSON \(PROTOCOL\)$/, "PROTOCOL", NO_EUREKA],
];
