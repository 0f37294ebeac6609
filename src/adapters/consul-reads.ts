import { DiscoveryError } from "../model/errors.js";
import type { ConsulClient } from "./consul-client.js";
import type { Answer, ConsulHistory } from "./consul-history.js";
import { fromConsul } from "./consul-record.js";

/** One read; with an `index` it waits up to `wait` for whatever comes after it. */
export interface ReadOptions {
  readonly signal: AbortSignal;
  readonly index?: bigint;
  readonly wait?: string;
}

/** Reads services over one client. */
export class ConsulReads {
  readonly #client: ConsulClient;
  readonly #history: ConsulHistory;

  constructor(client: ConsulClient, history: ConsulHistory) {
    this.#client = client;
    this.#history = history;
  }

  /** @throws {DiscoveryError} `PROTOCOL` if the answer has no index or cannot be read, and what a request may throw */
  async read(service: string, { signal, index, wait }: ReadOptions): Promise<Answer> {
    const before = this.#history.latest(service);
    const query = { index: index?.toString(), wait };
    const asked = await this.#client.catalog(`health/service/${encodeURIComponent(service)}`, { signal, query });
    const { instances, invalid } = fromConsul(service, asked.body);
    const told = { index: this.#indexIn(asked.headers["x-consul-index"], service), instances, invalid };
    if (instances.length === 0 && asked.headers["x-consul-results-filtered-by-acls"] === "true") {
      const text = `${this.#client.name} keeps ${service} from us; the token needs service:read and node:read`;
      throw new DiscoveryError("UNAUTHORIZED", text, { service });
    }
    return this.#history.take(service, told, before);
  }

  #indexIn(header: string | string[] | undefined, service: string): bigint {
    if (typeof header !== "string" || !/^\d+$/.test(header)) {
      const text = `${this.#client.name} sent no X-Consul-Index with ${service}; is it Consul, and does a proxy drop headers?`;
      throw new DiscoveryError("PROTOCOL", text, { service });
    }
    const index = BigInt(header);
    return index < 1n ? 1n : index;
  }
}
