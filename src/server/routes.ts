import type { IncomingMessage, ServerResponse } from "node:http";
import { serviceName } from "../model/fields.js";
import type { Registry } from "../registry/registry.js";
import type { Clock } from "../runtime/clock.js";
import { haltSignal } from "../runtime/deadline.js";
import { type Fields, readFields } from "./body.js";
import { Hub } from "./hub.js";
import { Listing } from "./listing.js";
import { Problem, sendProblem } from "./problem.js";
import { type Answer, Registrations } from "./registrations.js";
import { type Wanted, WatchStream } from "./watch.js";

/** Services in one watch. */
const MAX_WATCHED = 1_024;
const SERVICES = "/v1/services";
const NO_QUERY = new URLSearchParams();
const ABOUT =
  "This is an MCP (Microservice Communication Protocol) registry. Try GET /v1/services and GET /v1/status.\n";

type Post = (fields: Fields, signal: AbortSignal) => Promise<Answer>;

/** From requests to what answers them. Never throws: what fails is answered. */
export class Routes {
  readonly #registry: Registry & {
    readonly revision?: number;
    readonly warming?: boolean;
    readonly epoch?: string;
  };
  readonly #clock: Clock;
  readonly #names: ReadonlySet<string> | undefined;
  readonly #hub: Hub;
  readonly #listing: Listing;
  readonly #posts: ReadonlyMap<string, Post>;
  readonly #halt = haltSignal();

  /** @param names hosts under which a loopback server may be called: a web page's script comes under another */
  constructor(registry: Registry, clock: Clock, names: ReadonlySet<string> | undefined) {
    this.#registry = registry;
    this.#clock = clock;
    this.#names = names;
    this.#hub = new Hub(registry);
    this.#listing = new Listing(registry, clock);
    const registrations = new Registrations(registry);
    this.#posts = new Map<string, Post>([
      ["/v1/register", (fields, signal) => registrations.register(fields, signal)],
      ["/v1/heartbeat", (fields, signal) => registrations.heartbeat(fields, signal)],
      ["/v1/update", (fields, signal) => registrations.update(fields, signal)],
      ["/v1/deregister", (fields, signal) => registrations.deregister(fields, signal)],
    ]);
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    this.#route(request, response).catch((error: unknown) => sendProblem(response, error));
  }

  close(): void {
    this.#halt.abort();
    this.#hub.close();
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = "/" } = request;
    this.#checkHost(request.headers.host);
    const end = url.indexOf("?");
    const path = end < 0 ? url : url.slice(0, end);
    const query = end < 0 ? NO_QUERY : new URLSearchParams(url.slice(end + 1));
    const post = this.#posts.get(path);
    if (post) {
      if (method !== "POST") throw notAllowed("POST");
      return sendJson(response, await post(await readFields(request), this.#halt.signal));
    }
    if (path === "/v1/watch") return this.#watch(request, response, query);
    if (method !== "GET" && method !== "HEAD") throw this.#isKnown(path) ? notAllowed("GET, HEAD") : notFound(path);
    if (path.startsWith(`${SERVICES}/`)) return this.#list(request, response, path, query);
    if (path === SERVICES) return sendJson(response, await this.#services(query));
    if (path === "/v1/status") return sendJson(response, await this.#status());
    if (path !== "/") throw notFound(path);
    response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
    response.end(ABOUT);
  }

  #checkHost(header: string | undefined): void {
    if (!this.#names || header === undefined) return;
    const host = header.replace(/:\d+$/, "").toLowerCase();
    if (!this.#names.has(host)) throw new Problem(403, "REJECTED", `This registry does not answer to the name ${host}`);
  }

  #isKnown(path: string): boolean {
    return path === "/" || path === SERVICES || path === "/v1/status" || path.startsWith(`${SERVICES}/`);
  }

  async #list(request: IncomingMessage, response: ServerResponse, path: string, query: URLSearchParams): Promise<void> {
    const [name = "", rest, ...more] = path.slice(SERVICES.length + 1).split("/");
    if (rest !== "instances" || more.length > 0) throw notFound(path);
    await this.#listing.answer(request, response, serviceName("service_name", decoded(name)), query);
  }

  async #watch(request: IncomingMessage, response: ServerResponse, query: URLSearchParams): Promise<void> {
    const { method, headers } = request;
    if (method !== "GET" && method !== "POST") throw notAllowed("GET, POST");
    const resumeAt = query.get("since") ?? (headers["last-event-id"] as string | undefined);
    const wanted =
      method === "POST"
        ? wantedIn(await readFields(request))
        : new Map(query.getAll("service").map((name) => [serviceName("service", name), resumeAt]));
    if (wanted.size === 0 || wanted.size > MAX_WATCHED) {
      throw new Problem(422, "REJECTED", `service must name 1 to ${MAX_WATCHED} services`, { field: "service" });
    }
    const sse = headers.accept?.includes("text/event-stream") ?? false;
    await new WatchStream(this.#registry, this.#clock, response, sse).run(this.#hub, wanted);
  }

  async #services(query: URLSearchParams): Promise<Answer> {
    const prefix = query.get("prefix")?.toLowerCase() ?? "";
    const signal = this.#halt.signal;
    const names = (await this.#registry.services?.({ signal })) ?? [];
    const services = [];
    for (const service_name of names.filter((name) => name.startsWith(prefix))) {
      const update = await this.#registry.list(service_name, { signal });
      const statuses: Record<string, number> = {};
      for (const { status } of update.type === "reset" ? update.instances : [])
        statuses[status] = (statuses[status] ?? 0) + 1;
      services.push({
        service_name,
        instances: update.type === "reset" ? update.instances.length : 0,
        statuses,
      });
    }
    return { status: 200, body: { services } };
  }

  async #status(): Promise<Answer> {
    const { name, epoch, revision, warming = false } = this.#registry;
    const services = (await this.#registry.services?.({ signal: this.#halt.signal }))?.length ?? 0;
    return {
      status: 200,
      body: {
        status: "ok",
        protocol: 1,
        registry: name,
        epoch,
        revision,
        warming,
        services,
      },
    };
  }
}

function wantedIn({ services }: Fields): Wanted {
  if (typeof services !== "object" || services === null || Array.isArray(services)) {
    throw new Problem(422, "REJECTED", "services must be an object of names and positions", { field: "services" });
  }
  return new Map(
    Object.entries(services).map(([name, since]) => [
      serviceName(`services.${name}`, name),
      typeof since === "string" ? since : undefined,
    ]),
  );
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Problem(400, "MALFORMED", "The path is no valid URL encoding");
  }
}

function sendJson(response: ServerResponse, { status, body }: Answer): void {
  const json = JSON.stringify(body);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(json),
  });
  response.end(json);
}

function notAllowed(allow: string): Problem {
  return new Problem(405, "METHOD_NOT_ALLOWED", `Only ${allow} is answered here`, {}, { allow });
}

function notFound(path: string): Problem {
  return new Problem(404, "NOT_FOUND", `Nothing is at ${path.slice(0, 200)}`);
}
