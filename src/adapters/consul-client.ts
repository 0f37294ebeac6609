import { type HttpClient, type HttpResponse, httpClient } from "../runtime/http.js";
import { type Explanation, explained } from "./explained.js";

type Query = Readonly<Record<string, string | undefined>>;

/** Which Consul is asked, and with which rights. */
export interface ConsulTarget {
  /** Names it in errors. */
  readonly name: string;
  readonly origin: string;
  readonly token: string | undefined;
  readonly datacenter: string | undefined;
}

/** One question; `query` leaves out what is undefined. */
export interface ConsulRequest {
  readonly signal: AbortSignal;
  readonly query?: Query;
  readonly body?: unknown;
  /** Statuses that are answers, not errors. */
  readonly accept?: readonly number[];
}

/** Consul's HTTP API, over sockets of its own. */
export class ConsulClient {
  readonly name: string;
  readonly #datacenter: string | undefined;
  readonly #http: HttpClient;

  /** @param connections how many sockets it may open, if not as many as any registry */
  constructor({ name, origin, token, datacenter }: ConsulTarget, connections?: number) {
    this.name = name;
    this.#datacenter = datacenter;
    const headers: Record<string, string> = token ? { "x-consul-token": token } : {};
    this.#http = httpClient({ name, origin, headers, ...(connections === undefined ? {} : { connections }) });
  }

  /** Asks the agent about itself, or tells it something. */
  agent(method: "GET" | "PUT", path: string, { query = {}, ...request }: ConsulRequest): Promise<HttpResponse> {
    const asked = this.#http.request({ method, path: `/v1/agent/${path}${search(query)}`, ...request });
    return explained(asked, EXPLANATIONS);
  }

  /** Asks for what the datacenter knows. */
  catalog(path: string, { query = {}, ...request }: ConsulRequest): Promise<HttpResponse> {
    const where = search({ ...query, dc: this.#datacenter });
    return explained(this.#http.request({ method: "GET", path: `/v1/${path}${where}`, ...request }), EXPLANATIONS);
  }

  close(): Promise<void> {
    return this.#http.close();
  }
}

function search(query: Query): string {
  const told = Object.entries(query).filter((each): each is [string, string] => each[1] !== undefined);
  return told.length === 0 ? "" : `?${new URLSearchParams(told)}`;
}

/** What Consul says in plain text, what it is to us, and what can be done. */
const EXPLANATIONS: readonly Explanation[] = [
  [/No path to datacenter/, "REJECTED", "does that datacenter exist, and has it joined this one?"],
  [/ACL not found/, "UNAUTHORIZED", "it does not know the token: is it of this datacenter, and not yet revoked?"],
  [/Permission denied/, "UNAUTHORIZED", "the token needs a policy with service:write, and service:read and node:read"],
  [
    /with 404(?:: 404 page not found)? \(REJECTED\)$|no JSON \(PROTOCOL\)$/,
    "PROTOCOL",
    "is that the HTTP port of a Consul agent?",
  ],
  [/with 30\d/, "PROTOCOL", "is that the HTTP port of a Consul agent? Redirects are not followed"],
];
