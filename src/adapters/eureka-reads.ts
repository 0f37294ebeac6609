import { randomBytes } from "node:crypto";
import { DiscoveryError } from "../model/errors.js";
import { serviceName } from "../model/fields.js";
import type { ServiceInstance } from "../model/instance.js";
import { difference, type Position, type RegistryUpdate } from "../model/update.js";
import { Recent } from "../registry/recent.js";
import type { HttpResponse } from "../runtime/http.js";
import type { EurekaClient } from "./eureka-client.js";
import { type EurekaRecord, fromEureka, idInPath, instanceFrom, isOrdered, lifeOf } from "./eureka-record.js";

/** Services whose last answer is remembered, to tell what is new: as many as a registry may hold. */
const REMEMBERED = 10_000;

/** Who holds an id, as Eureka itself knows it, not as its lists remember. */
export interface Holder {
  readonly app: string;
  readonly host: string;
  readonly port: number;
  readonly life: number | undefined;
  /** Whether someone else than its agent ordered its status. */
  readonly ordered: boolean;
}

interface Seen {
  readonly position: Position;
  readonly instances: readonly ServiceInstance[];
  readonly invalid: number;
}

/**
 * Reads one application at a time. Eureka's hash counts statuses only, and its delta and full list may disagree for three
 * minutes; a list of one application was never seen to lose a change. What is new is found by comparing contents.
 */
export class EurekaReads {
  readonly #client: EurekaClient;
  readonly #life = randomBytes(6).toString("hex"); // positions that another process was given mean nothing here
  readonly #last = new Recent<Seen>(REMEMBERED);
  #count = 0;

  constructor(client: EurekaClient) {
    this.#client = client;
  }

  /** @throws {DiscoveryError} `PROTOCOL` if the answer cannot be read, and what a request may throw */
  async list(service: string, since: Position | undefined, signal: AbortSignal): Promise<RegistryUpdate> {
    const { status, body } = await this.#lists(`apps/${service.toUpperCase()}`, signal);
    if (status === 404) return { type: "absent" };
    const { instances, invalid } = fromEureka(service, body);
    if (instances.length === 0 && invalid === 0) return { type: "absent" }; // to Eureka there is no empty application
    const position = this.#positionOf(service, instances, invalid);
    return since === position ? { type: "current", position } : { type: "reset", instances, invalid, position };
  }

  /** The names of all applications, in lower case. */
  async services(signal: AbortSignal): Promise<readonly string[]> {
    const { body } = await this.#lists("apps", signal, { "x-eureka-accept": "compact" });
    const { applications } = (body ?? {}) as { readonly applications?: { readonly application?: unknown } };
    const given = applications?.application ?? [];
    const names = new Set<string>();
    for (const each of Array.isArray(given) ? given : [given]) {
      try {
        names.add(serviceName("name", (each as { readonly name?: unknown } | null)?.name));
      } catch {} // a name that no service can have here is none to ask for
    }
    return [...names].sort();
  }

  /** Undefined if nobody holds it, or its lease ran out. */
  async holderOf(id: string, signal: AbortSignal): Promise<Holder | undefined> {
    const path = `instances/${idInPath(id)}`;
    const { status, body } = await this.#client.request({ method: "GET", path, signal, accept: [404] });
    const record = (body as { readonly instance?: EurekaRecord } | undefined)?.instance;
    if (status === 404 || !record) return undefined;
    const about = { app: String(record.app).toLowerCase(), life: lifeOf(record), ordered: isOrdered(record) };
    try {
      const { host, port } = instanceFrom("holder", record);
      return { ...about, host, port };
    } catch {
      return { ...about, host: String(record.hostName), port: Number(record.port?.$) };
    }
  }

  async #lists(path: string, signal: AbortSignal, headers = {}): Promise<HttpResponse> {
    const answer = await this.#client.request({ method: "GET", path, signal, headers, accept: [404, 403] });
    if (answer.status !== 403) return answer;
    // a Eureka that has just started lists nothing until it has heard its peers, but answers about one instance
    const probe = await this.#client.request({ method: "GET", path: "instances/none", signal, accept: [404, 403] });
    const asked = `${this.#client.name} answered GET ${path} with 403`;
    if (probe.status === 403) throw new DiscoveryError("UNAUTHORIZED", `${asked}; may that user read?`);
    const text = `${asked}; it has just started and tells no lists until it has heard its peers or opened its doors`;
    throw new DiscoveryError("UNAVAILABLE", text);
  }

  #positionOf(service: string, instances: readonly ServiceInstance[], invalid: number): Position {
    const before = this.#last.get(service);
    if (before && before.invalid === invalid && difference(before.instances, instances) === undefined) {
      return before.position;
    }
    const position = `${this.#life}:${++this.#count}`;
    this.#last.set(service, { position, instances, invalid });
    return position;
  }
}
