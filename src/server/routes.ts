import type { IncomingMessage, ServerResponse } from "node:http";
import { serviceName } from "../model/fields.js";
import type { Registry } from "../registry/registry.js";
import type { Clock } from "../runtime/clock.js";
import { haltSignal } from "../runtime/deadline.js";
import { positionIn } from "../wire/json.js";
import { Acks } from "./acks.js";
import { type Fields, readFields, takeFields } from "./body.js";
import { Hub } from "./hub.js";
import { Listing } from "./listing.js";
import { type Overview, serviceCounts, statusOf } from "./overview.js";
import { Problem, sendProblem } from "./problem.js";
import { type Gate, Registrations } from "./registrations.js";
import { type Answer, sendJson } from "./send.js";
import { type Wanted, type WatchContext, WatchStream } from "./watch.js";

/** Services in one watch. */
const MAX_WATCHED = 1_024;
/** Watches at one time; each holds a socket. */
const MAX_WATCHES = 5_000;
const SERVICES = "/v1/services";
const LIST = { before: `${SERVICES}/`, after: "/instances" } as const;
const ABOUT =
  "This is an MCP (Microservice Communication Protocol) registry. Try GET /v1/services and GET /v1/status.\n";

type Post = (fields: Fields, response: ServerResponse, peer: string) => Promise<Answer>;

/** From requests to what answers them. Never throws: what fails is answered. */
export class Routes {
  readonly #registry: Overview;
  readonly #names: ReadonlySet<string> | undefined;
  readonly #listing: Listing;
  readonly #watch: WatchContext;
  readonly #posts: ReadonlyMap<string, Post>;
  readonly #gate: Gate;
  readonly #halt = haltSignal();
  #watches = 0;
  #lastHost: string | undefined;

  /** @param names hosts under which a loopback server may be called: a web page's script comes under another */
  constructor(registry: Registry, clock: Clock, names: ReadonlySet<string> | undefined, gate: Gate) {
    const { signal } = this.#halt;
    this.#gate = gate;
    this.#registry = registry;
    this.#names = names;
    this.#listing = new Listing(registry, clock, signal);
    const hub = new Hub(registry, clock);
    const acks = new Acks(hub.departures);
    this.#watch = { registry, clock, hub, acks };
    const registrations = new Registrations(this.#watch, gate);
    this.#posts = new Map<string, Post>([
      ["/v1/register", (fields, _, peer) => registrations.register(fields, signal, peer)],
      ["/v1/heartbeat", (fields) => registrations.heartbeat(fields, signal)],
      ["/v1/update", (fields) => registrations.update(fields, signal)],
      ["/v1/deregister", (fields, response) => registrations.deregister(fields, signal, untilClosed(response))],
      ["/v1/watch/ack", (fields) => acks.take(fields)],
    ]);
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    const refused = (error: unknown): void => sendProblem(response, error);
    try {
      this.#route(request, response, refused)?.catch(refused);
    } catch (error) {
      refused(error);
    }
  }

  close(): void {
    this.#halt.abort();
    this.#gate.prober?.close();
    this.#watch.hub.close();
  }

  #route(
    request: IncomingMessage,
    response: ServerResponse,
    refused: (error: unknown) => void,
  ): Promise<void> | undefined {
    const { method, url = "/", headers } = request;
    this.#checkHost(headers.host);
    const end = url.indexOf("?");
    const path = end < 0 ? url : url.slice(0, end);
    const post = this.#posts.get(path);
    if (post) {
      if (method !== "POST") throw notAllowed("POST");
      const peer = request.socket.remoteAddress ?? ""; // asked now: a closed socket has forgotten it
      takeFields(request, (fields) => void answer(response, post, fields, peer), refused);
      return undefined;
    }
    const query = end < 0 ? undefined : new URLSearchParams(url.slice(end + 1));
    if (path === "/v1/watch") return this.#stream(request, response, query);
    const service = listedIn(path);
    if (service === undefined && !isPage(path)) throw notFound(path);
    if (method !== "GET" && method !== "HEAD") throw notAllowed("GET, HEAD");
    if (service !== undefined) return this.#listing.answer(request, response, service, query);
    return this.#page(response, path, query);
  }

  async #page(response: ServerResponse, path: string, query: URLSearchParams | undefined): Promise<void> {
    const { signal } = this.#halt;
    if (path === SERVICES) {
      const services = await serviceCounts(this.#registry, query?.get("prefix") ?? "", signal);
      return sendJson(response, { status: 200, body: { services } });
    }
    if (path === "/v1/status") {
      const body = await statusOf(this.#registry, this.#gate.prober?.counts, signal);
      return sendJson(response, { status: 200, body });
    }
    response.writeHead(200, { "content-type": "text/plain; charset=utf-8", "content-length": ABOUT.length });
    response.end(ABOUT);
  }

  async #stream(request: IncomingMessage, response: ServerResponse, query: URLSearchParams | undefined): Promise<void> {
    const { method, headers } = request;
    if (method !== "GET" && method !== "POST") throw notAllowed("GET, POST");
    const seen = headers["last-event-id"] ?? query?.get("since") ?? undefined; // a browser repeats the old query
    const fields = method === "POST" ? await readFields(request) : {};
    const wanted = method === "POST" ? wantedIn(fields) : wantedOf(query, String(seen ?? ""));
    const acks = acksIn(fields);
    if (wanted.size === 0 || wanted.size > MAX_WATCHED) {
      throw new Problem(422, "REJECTED", `service must name 1 to ${MAX_WATCHED} services`, { field: "service" });
    }
    if (this.#watches >= MAX_WATCHES) {
      throw new Problem(503, "OVERLOADED", `${MAX_WATCHES} watches are open already`, {}, { "retry-after": "5" });
    }
    if (response.destroyed) return; // the reader has gone while its request was read
    this.#watches++;
    response.once("close", () => this.#watches--);
    const asEvents = headers.accept?.includes("text/event-stream") ?? false;
    await new WatchStream(this.#watch, response, { asEvents, acks }).run(wanted);
  }

  #checkHost(header: string | undefined): void {
    if (!this.#names || header === undefined || header === this.#lastHost) return;
    const host = header.replace(/:\d+$/, "").toLowerCase();
    if (this.#names.has(host)) this.#lastHost = header;
    else throw new Problem(403, "REJECTED", `This registry does not answer to the name ${host.slice(0, 200)}`);
  }
}

/** The service whose list is at that path, if any. */
function listedIn(path: string): string | undefined {
  if (!path.startsWith(LIST.before) || !path.endsWith(LIST.after)) return undefined;
  const name = path.slice(LIST.before.length, -LIST.after.length);
  if (name === "" || name.includes("/")) return undefined;
  return serviceName("service_name", name.includes("%") ? decoded(name) : name);
}

function isPage(path: string): boolean {
  return path === SERVICES || path === "/v1/status" || path === "/";
}

function wantedOf(query: URLSearchParams | undefined, seen: string): Wanted {
  const since = seen === "" ? undefined : positionIn(seen);
  return new Map((query?.getAll("service") ?? []).map((name) => [serviceName("service", name), since]));
}

function wantedIn({ services }: Fields): Wanted {
  if (typeof services !== "object" || services === null || Array.isArray(services)) {
    throw new Problem(422, "REJECTED", "services must be an object of names and positions", { field: "services" });
  }
  return new Map(
    Object.entries(services).map(([name, since]) => [
      serviceName(`services.${name}`, name),
      typeof since === "string" ? positionIn(since) : undefined,
    ]),
  );
}

function acksIn({ acks }: Fields): boolean {
  if (typeof acks === "boolean" || acks == null) return acks ?? false;
  throw new Problem(422, "REJECTED", "acks must be true or false", { field: "acks" });
}

/** Aborts when a response is over, be it that the client has gone. */
function untilClosed(response: ServerResponse): AbortSignal {
  const over = new AbortController();
  if (response.destroyed) over.abort();
  else response.once("close", () => over.abort());
  return over.signal;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Problem(400, "MALFORMED", "The path is no valid URL encoding");
  }
}

async function answer(response: ServerResponse, post: Post, fields: Fields, peer: string): Promise<void> {
  try {
    sendJson(response, await post(fields, response, peer));
  } catch (error) {
    sendProblem(response, error);
  }
}

function notAllowed(allow: string): Problem {
  return new Problem(405, "METHOD_NOT_ALLOWED", `Only ${allow} is answered here`, {}, { allow });
}

function notFound(path: string): Problem {
  return new Problem(404, "NOT_FOUND", `Nothing is at ${path.slice(0, 200)}`);
}
