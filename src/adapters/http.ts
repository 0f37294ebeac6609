import { DiscoveryError } from "../model/errors.js";
import { invalid } from "../model/fields.js";
import { enlisted, type InstanceStatus, isStatus, type ServiceInstance } from "../model/instance.js";
import type { RegistryUpdate } from "../model/update.js";
import type { Beat, Lease, Registry, Renewal } from "../registry/registry.js";
import { type HttpClient, type HttpResponse, httpClient } from "../runtime/http.js";
import { knownKeys } from "../runtime/options.js";
import { secretOption } from "../runtime/request-headers.js";
import { healthToWire } from "../wire/health.js";
import { manyFromWire, positionOf, toWire } from "../wire/json.js";
import { type Explanation, explained } from "./explained.js";
import { HttpNodes } from "./http-nodes.js";
import { SharedWatch } from "./http-watch.js";

/** Leases in one heartbeat request: the protocol's limit. */
const BATCH = 1_000;
/** A stream is pinged every 15 s: two missed pings and a bit, in milliseconds. */
const QUIET_MS = 35_000;

/** What to ask whoever got an answer that no registry of ours gives: most often another one listens there. */
const WHOSE = "is that a registry of this package? URLs of others begin with consul:, etcd:, eureka: or nacos:";
const EXPLANATIONS: readonly Explanation[] = [
  [/ \/v1\/(?:register|services\S*) with 40[45]\b/, "PROTOCOL", WHOSE],
  [/no JSON \(PROTOCOL\)$/, "PROTOCOL", WHOSE],
];

/** Where an MCP registry is. */
export interface HttpOptions {
  /**
   * `http://host:8761`, without path. Several are nodes of one registry, servers on the same etcd: whoever asks stays
   * with one while it answers and goes to the next when it does not, with the leases it has.
   */
  readonly url: string | readonly string[];
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string;
}

/**
 * An MCP registry spoken to over HTTP. Changes are streamed; all services of one value share one stream.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function http(options: HttpOptions): Registry {
  knownKeys("http", options, ["url", "token"]);
  const { url } = options;
  const token = secretOption("http.token", options.token);
  const urls = typeof url === "object" ? url : [url];
  const [first] = urls;
  if (first === undefined) throw invalid("http.url", url, "one URL or several");
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const nodes = new HttpNodes(urls.length);
  const connect = (patient?: boolean): HttpClient => {
    const clients = urls.map((origin) => httpClient({ name: `registry ${shown(origin)}`, origin, headers }));
    return nodes.client(clients, patient);
  };
  const host = URL.canParse(first) ? new URL(first).hostname : undefined;
  return httpOver(connect, `registry ${urls.map(shown).join(",")}`, host);
}

/** The same over clients that somebody else makes: how the simulation puts its own network under it. */
export function httpOver(connect: (patient?: boolean) => HttpClient, name: string, host: string | undefined): Registry {
  const client = connect();
  const held = connect(true); // deregistrations that wait must not take the sockets of beats and acknowledgements
  const watch = new SharedWatch(client);

  return {
    name,
    host,
    capabilities: {
      watch: "stream",
      lease: "heartbeat",
      reasons: true,
      epoch: true,
      absence: true,
      acks: true,
      quietMs: QUIET_MS,
    },

    async list(service, { since, signal }) {
      const path = `/v1/services/${encodeURIComponent(service)}/instances`;
      const headers = since === undefined ? {} : { "if-none-match": `"${since}"` };
      const asked = client.request({ method: "GET", path, signal, headers, accept: [304, 404] });
      const answer = await explained(asked, EXPLANATIONS);
      return listed(service, since, answer);
    },

    watch: (service, { since, signal }) => watch.of(service, since, signal),

    async services({ signal }) {
      const asked = client.request({ method: "GET", path: "/v1/services", signal });
      const { body } = await explained(asked, EXPLANATIONS);
      const { services } = fieldsOf(body);
      return Array.isArray(services) ? services.map((each) => String(fieldsOf(each)["service_name"])) : [];
    },

    async register(instance, { ttlMs, health, holder, edition, signal }) {
      const health_check = health && healthToWire(health);
      const body = { ...toWire(instance), ttl: ttlMs / 1_000, health_check, holder, edition };
      const asked = client.request({ method: "POST", path: "/v1/register", signal, body });
      const answer = await explained(asked, EXPLANATIONS);
      return leaseFrom(instance, answer);
    },

    async renew(beats, { signal }) {
      const renewals: Renewal[] = [];
      for (let start = 0; start < beats.length; start += BATCH) {
        renewals.push(await renewSome(client, beats.slice(start, start + BATCH), signal));
      }
      const { heartbeatMs, epoch } = renewals.at(-1) ?? {};
      const statuses = new Map(renewals.flatMap((each) => [...(each.statuses ?? [])]));
      return { unknown: renewals.flatMap(({ unknown }) => unknown), statuses, heartbeatMs, epoch };
    },

    async update(lease, instance, { edition, signal }) {
      const { weight, zone = null, version = null, tags, metadata, status } = toWire(instance);
      const body = { lease_id: lease.id, edition, weight, zone, version, tags, metadata, status };
      await client.request({ method: "POST", path: "/v1/update", signal, body });
      return { ...lease, instance: enlisted(instance, lease.instance) };
    },

    async deregister(lease, { signal, waitMs }) {
      const body = { lease_id: lease.id, ...(waitMs === undefined ? {} : { wait_ms: waitMs }) };
      const through = waitMs === undefined || waitMs === 0 ? client : held;
      const answer = await through.request({ method: "POST", path: "/v1/deregister", signal, body });
      const { acked, waiting } = fieldsOf(answer.body);
      return { acked: numberOr(acked, 0), waiting: numberOr(waiting, 0) };
    },

    async close() {
      await Promise.all([client.close(), held.close()]);
    },
  };
}

async function renewSome(client: HttpClient, beats: readonly Beat[], signal: AbortSignal): Promise<Renewal> {
  const leases = beats.map(({ lease, status, load }) => ({ lease_id: lease.id, status, load }));
  let answer: HttpResponse;
  try {
    answer = await client.request({ method: "POST", path: "/v1/heartbeat", signal, body: { leases } });
  } catch (error) {
    if (beats.length !== 1 || !DiscoveryError.is(error, "LEASE_LOST")) throw error;
    return { unknown: beats.map(({ lease }) => ({ lease, reason: "unknown" })) }; // a 404 says it as well
  }
  const { renewed, unknown, epoch, heartbeat_interval } = fieldsOf(answer.body);
  const gone = new Map<unknown, unknown>();
  for (const each of Array.isArray(unknown) ? unknown : []) {
    const { lease_id, reason } = fieldsOf(each);
    gone.set(lease_id, reason);
  }
  const lost = beats.filter(({ lease }) => gone.has(lease.id));
  return {
    unknown: lost.map(({ lease }) => ({ lease, reason: String(gone.get(lease.id) ?? "unknown") })),
    statuses: statusesIn(renewed),
    heartbeatMs: typeof heartbeat_interval === "number" ? heartbeat_interval * 1_000 : undefined,
    epoch: typeof epoch === "string" ? epoch : undefined,
  };
}

/** What the registry publishes of each lease; a status nobody knows is none. */
function statusesIn(renewed: unknown): ReadonlyMap<string, InstanceStatus> {
  const statuses = new Map<string, InstanceStatus>();
  for (const each of Array.isArray(renewed) ? renewed : []) {
    const { lease_id, status } = fieldsOf(each);
    if (typeof lease_id === "string" && isStatus(status)) statuses.set(lease_id, status);
  }
  return statuses;
}

function listed(service: string, since: string | undefined, { status, body }: HttpResponse): RegistryUpdate {
  if (status === 304) return { type: "current", position: since };
  const { code, epoch: told, revision, warming, instances, known } = fieldsOf(body);
  const epoch = typeof told === "string" ? told : undefined;
  if (status === 404 && code !== "SERVICE_UNKNOWN") {
    throw new DiscoveryError("PROTOCOL", `No registry of ours: 404 for the list of ${service}; ${WHOSE}`, { service });
  }
  if (status === 404 || known === false) return { type: "absent", epoch, warming: warming === true };
  return {
    type: "reset",
    ...manyFromWire(instances),
    position: positionOf(epoch, revision),
    epoch,
    warming: warming === true,
  };
}

function leaseFrom(instance: ServiceInstance, { status, body }: HttpResponse): Lease {
  const { lease_id, ttl, heartbeat_interval, epoch, incarnation, registered_at } = fieldsOf(body);
  if (typeof lease_id !== "string" || typeof ttl !== "number") {
    throw new DiscoveryError("PROTOCOL", "The registry granted no lease", { service: instance.service });
  }
  const heartbeatMs = numberOr(heartbeat_interval, ttl / 3) * 1_000;
  const from = typeof epoch === "string" ? epoch : undefined;
  const life = enlisted(instance, {
    ttlMs: ttl * 1_000,
    registeredAt: typeof registered_at === "number" ? registered_at * 1_000 : undefined,
    incarnation: numberOr(incarnation, 0),
  });
  return { id: lease_id, instance: life, ttlMs: ttl * 1_000, heartbeatMs, epoch: from, replaced: status === 200 };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === "number" ? value : fallback;
}

/** The URL for messages: without a password. */
function shown(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : String(url);
}
