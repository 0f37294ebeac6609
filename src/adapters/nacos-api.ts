import { DiscoveryError } from "../model/errors.js";
import type { NacosClient, NacosRequest, Params } from "./nacos-client.js";
import { type Beaten, type Dialect, type NacosScope, V1, V3 } from "./nacos-dialects.js";
import { DEFAULT_CLUSTER } from "./nacos-record.js";
import { NO_NACOS, notDone, refusal } from "./nacos-refusal.js";
import { isGone } from "./nacos-server.js";

/** Names a page of services holds, and how many pages are read at most: a million names. */
const PAGE = { size: 500, most: 2_000 } as const;

/**
 * Nacos' API for instances, in whichever of its versions is there: found out by asking, and again whenever it is gone,
 * be it because another server of the cluster is asked now.
 */
export class NacosApi {
  readonly #client: NacosClient;
  readonly #scope: NacosScope;
  /** Those that are read where not all can be: one's own, and that of whoever names none. */
  readonly #clusters: ReadonlySet<string>;
  #dialect: Dialect | undefined;

  constructor(client: NacosClient, scope: NacosScope, cluster: string) {
    this.#client = client;
    this.#scope = scope;
    this.#clusters = new Set([cluster, DEFAULT_CLUSTER]);
  }

  /** How often a server was left for the next one of the cluster. */
  get moves(): number {
    return this.#client.moves;
  }

  /** @throws {DiscoveryError} `REJECTED` unless it is answered by `ok` */
  async register(instance: Params, signal: AbortSignal): Promise<void> {
    const fields = { ...instance, ...this.#scope };
    await this.#done((dialect) => dialect.register(fields), signal);
  }

  /** Names the instance and nothing more: a beat that describes it would bring it back after it has left. */
  async beat(key: Params, signal: AbortSignal): Promise<Beaten> {
    const fields = { ...key, ...this.#scope };
    const { dialect, request, body } = await this.#ask((each) => each.beat(fields), signal);
    const beaten = dialect.beaten(body);
    if (!beaten) throw notDone(this.#client.name, this.#client.told(request), body);
    return beaten;
  }

  /** An instance that is not there is answered by `ok` as well. */
  async deregister(key: Params, signal: AbortSignal): Promise<void> {
    const fields = { ...key, ...this.#scope };
    await this.#done((dialect) => dialect.deregister(fields), signal);
  }

  /** Everybody but those whom an operator disabled: these no list of Nacos shows. */
  async list(serviceName: string, signal: AbortSignal): Promise<readonly unknown[]> {
    const query = { serviceName, ...this.#scope };
    const { dialect, request, body } = await this.#ask(
      (each) => each.list(query, [...this.#clusters].join(",")),
      signal,
    );
    return this.#many(dialect.hosts(body), request);
  }

  /** Those of pushed instances that a list would show. */
  listed(hosts: readonly unknown[]): readonly unknown[] {
    if (this.#dialect !== V3) return hosts;
    return hosts.filter((host) => this.#clusters.has(String((host as { clusterName?: unknown } | null)?.clusterName)));
  }

  /** v1's list is open to every client as long as there is one; v3's is for administrators. */
  async services(signal: AbortSignal): Promise<readonly string[]> {
    const names = (await this.#namesBy(V1, signal)) ?? (await this.#namesBy(V3, signal));
    if (names) return names;
    throw new DiscoveryError("PROTOCOL", `${this.#client.name} lists no names of services; ${NO_NACOS}`);
  }

  /** Undefined if that version is not there. */
  async #namesBy(dialect: Dialect, signal: AbortSignal): Promise<readonly string[] | undefined> {
    const names: string[] = [];
    for (let page = 1; page <= PAGE.most; page++) {
      const request = dialect.services(this.#scope, String(page), String(PAGE.size));
      const answer = await this.#client.ask(request, signal);
      if (isGone(answer)) return undefined;
      names.push(...this.#many(dialect.names(answer.body, this.#scope.groupName), request).map(String));
      if (this.#many(dialect.names(answer.body, undefined), request).length < PAGE.size) break;
    }
    return names;
  }

  #many(value: unknown, request: NacosRequest): readonly unknown[] {
    if (Array.isArray(value)) return value;
    const { method, path } = this.#client.told(request);
    throw new DiscoveryError("PROTOCOL", `${this.#client.name} answered ${method} ${path} without a list; ${NO_NACOS}`);
  }

  async #done(make: (dialect: Dialect) => NacosRequest, signal: AbortSignal): Promise<void> {
    const { dialect, request, body } = await this.#ask(make, signal);
    if (!dialect.isOk(body)) throw notDone(this.#client.name, this.#client.told(request), body);
  }

  /** A path that is not there means another version: once more, by what is there now. */
  async #ask(make: (dialect: Dialect) => NacosRequest, signal: AbortSignal): Promise<Answered> {
    for (let again = false; ; again = true) {
      const dialect = this.#dialect ?? (await this.#probe(signal));
      const request = make(dialect);
      const answer = await this.#client.ask(request, signal);
      if (!isGone(answer)) return { dialect, request, body: answer.body };
      this.#dialect = undefined;
      const { name, user } = this.#client;
      if (again) throw refusal(name, this.#client.told(request), answer, user);
    }
  }

  /**
   * v1 while it is there, up to 3.0, and only then v3: there, up to 3.2.1 at least, what is registered at one server of a
   * cluster may never be heard of at the others (alibaba/nacos#14992; seen with 3.0.3).
   */
  async #probe(signal: AbortSignal): Promise<Dialect> {
    const request = V1.list({ serviceName: "mcp-discovery", ...this.#scope }, DEFAULT_CLUSTER);
    this.#dialect = isGone(await this.#client.ask(request, signal)) ? V3 : V1;
    return this.#dialect;
  }
}

interface Answered {
  readonly dialect: Dialect;
  readonly request: NacosRequest;
  readonly body: unknown;
}
