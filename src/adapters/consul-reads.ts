import { randomBytes } from "node:crypto";
import { DiscoveryError } from "../model/errors.js";
import type { ServiceInstance } from "../model/instance.js";
import { difference, type Position, type RegistryUpdate } from "../model/update.js";
import { Recent } from "../registry/recent.js";
import type { ConsulClient } from "./consul-client.js";
import { fromConsul } from "./consul-record.js";

/** Services whose last answer is remembered, to tell what is new: as many as a registry may hold. */
const REMEMBERED = 10_000;

/** What Consul answered about one service. */
export interface Answer {
  readonly update: RegistryUpdate & { readonly type: "reset" | "absent" };
  readonly position: Position;
  /** Where to wait for the next change: never below 1, at which Consul would answer at once. */
  readonly index: bigint;
  readonly instances: readonly ServiceInstance[];
  /** The index went back: Consul was restored, or began anew. */
  readonly rewound: boolean;
}

/** One read; with an `index` it waits up to `wait` for whatever comes after it. */
export interface ReadOptions {
  readonly signal: AbortSignal;
  readonly index?: bigint;
  readonly wait?: string;
}

/**
 * Reads services, and keeps an eye on Consul's index: the same or a lower one under other contents belongs to another
 * history of that Consul, hence to another epoch. Whoever is missing there may only not have returned yet.
 */
export class ConsulReads {
  readonly #client: ConsulClient;
  readonly #life = randomBytes(6).toString("hex"); // positions that another process was given mean nothing here
  #history = 0;
  #last = new Recent<Answer>(REMEMBERED);

  constructor(client: ConsulClient) {
    this.#client = client;
  }

  get name(): string {
    return this.#client.name;
  }

  /** @throws {DiscoveryError} `PROTOCOL` if the answer has no index or cannot be read, and what a request may throw */
  async read(service: string, { signal, index, wait }: ReadOptions): Promise<Answer> {
    const before = this.#last.get(service);
    const query = { index: index?.toString(), wait };
    const asked = await this.#client.catalog(`health/service/${encodeURIComponent(service)}`, { signal, query });
    const { instances, invalid } = fromConsul(service, asked.body);
    const told = this.#indexIn(asked.headers["x-consul-index"], service);
    if (instances.length === 0 && asked.headers["x-consul-results-filtered-by-acls"] === "true") {
      const text = `${this.#client.name} keeps ${service} from us; the token needs service:read and node:read`;
      throw new DiscoveryError("UNAUTHORIZED", text, { service });
    }
    const rewound = before !== undefined && !follows(before, told, instances);
    if (rewound) this.#begin();
    const epoch = `${this.#life}${this.#history}`;
    const position = `${epoch}:${told}`;
    const update = { type: "reset", instances, invalid, position, epoch } as const;
    const nobody = instances.length === 0 && invalid === 0; // to Consul, a service without instances does not exist
    const answer = { update: nobody ? ({ type: "absent", epoch } as const) : update, position, index: told, instances };
    const latest = this.#last.get(service);
    if (!latest || latest === before || told > latest.index) this.#last.set(service, { ...answer, rewound: false });
    return { ...answer, rewound };
  }

  #begin(): void {
    this.#history++;
    this.#last = new Recent(REMEMBERED);
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

/** Whether an answer can come after one that was there before it was asked for. */
function follows(before: Answer, index: bigint, instances: readonly ServiceInstance[]): boolean {
  if (index !== before.index) return index > before.index;
  return index === 1n || difference(before.instances, instances) === undefined; // 1 may stand for an index not told
}
