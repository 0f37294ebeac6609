import {
  byId,
  defineInstance,
  hostPort,
  type InstanceStatus,
  type Protocol,
  type ServiceInstance,
} from "../model/instance.js";
import type { Readable } from "../wire/json.js";
import { foreignLabel, foreignMetadata, foreignProtocol } from "./foreign.js";
import type { Params } from "./nacos-client.js";
import { packed, unpacked } from "./nacos-meta.js";

/** Nacos' own time from the last beat to removal, in milliseconds; a shorter ttl keeps it, so that no outage empties a list. */
const REMOVE_AFTER_MS = 30_000;
const TTLS_UNTIL_REMOVAL = 2;
/** So many beats fit into a ttl. */
export const BEATS_PER_TTL = 3;
/** A weight as the model knows it ends here; that of others is cut. */
const MAX_WEIGHT = 1_000;
/** The cluster of an instance that names none; it says nothing of where it is. */
export const DEFAULT_CLUSTER = "DEFAULT";

const KEYS = {
  id: "mcp-id",
  life: "mcp-life",
  status: "mcp-status",
  weight: "mcp-weight",
  tags: "mcp-tags",
  registered: "mcp-registered-ms",
  interval: "preserved.heart.beat.interval",
  timeout: "preserved.heart.beat.timeout",
  removal: "preserved.ip.delete.timeout",
} as const;

/** What names an instance to Nacos, beside its namespace and group: neither its id nor its life. */
export function keyOf(serviceName: string, { host, port }: ServiceInstance, clusterName: string): Params {
  return { serviceName, ip: host, port: String(port), clusterName, ephemeral: "true" };
}

/**
 * What Nacos is told of an instance. Its life, ttl and registration must be known.
 *
 * Who asks for no new calls has the weight 0, and stays listed: other clients pass it over, ours see why. Disabled, as
 * an operator may have it, it would vanish from every list without a word.
 */
export function toNacos(serviceName: string, instance: ServiceInstance, clusterName: string): Params {
  const { id, protocol, zone, version, tags, status, weight, ttlMs = 0, registeredAt, incarnation } = instance;
  const isHealthy = status === "healthy";
  const own = {
    ...(protocol === "http" ? {} : { protocol }), // Nacos grants metadata 1,024 characters: no defaults in it
    ...(protocol === "https" ? { secure: "true" } : {}), // Spring's custom
    ...(zone === undefined ? {} : { zone }),
    ...(version === undefined ? {} : { version }),
    ...(tags.length === 0 ? {} : { [KEYS.tags]: JSON.stringify(tags) }),
    ...(isHealthy ? {} : { [KEYS.status]: status, [KEYS.weight]: String(weight) }),
    ...(id === defaultId(instance) ? {} : { [KEYS.id]: id }),
    [KEYS.life]: String(incarnation),
    [KEYS.registered]: String(registeredAt),
    [KEYS.interval]: String(Math.round(ttlMs / BEATS_PER_TTL)),
    [KEYS.timeout]: String(Math.round(ttlMs)),
    [KEYS.removal]: String(Math.round(Math.max(REMOVE_AFTER_MS, ttlMs * TTLS_UNTIL_REMOVAL))),
  };
  return {
    ...keyOf(serviceName, instance, clusterName),
    weight: String(isHealthy ? weight : 0),
    enabled: "true",
    healthy: "true",
    metadata: JSON.stringify(packed(instance.metadata, own)),
  };
}

/** Reads what Nacos lists of a service, in the order of ids; records that cannot be read are counted, the others stand. */
export function fromNacos(service: string, named: string, hosts: readonly unknown[]): Readable {
  const instances = new Map<string, ServiceInstance>();
  let invalid = 0;
  for (const host of hosts) {
    try {
      const instance = instanceFrom(service, named, host as Host);
      const twin = instances.get(instance.id);
      if (!twin || outlives(instance, twin)) instances.set(instance.id, instance);
    } catch {
      invalid++;
    }
  }
  return { instances: [...instances.values()].sort(byId), invalid };
}

/** One element of a list; nothing of it is believed yet. */
interface Host {
  readonly ip: string;
  readonly port: number;
  readonly weight?: unknown;
  readonly healthy?: unknown;
  readonly enabled?: unknown;
  readonly clusterName?: unknown;
  readonly metadata?: unknown;
}

function instanceFrom(service: string, named: string, host: Host): ServiceInstance {
  const meta = (host.metadata ?? {}) as Readonly<Record<string, string>>;
  const { ip, port } = host;
  const status = statusOf(host, meta[KEYS.status]);
  const weight = Number(host.weight ?? 1);
  if (meta[KEYS.life] === undefined) {
    const cluster = String(host.clusterName ?? DEFAULT_CLUSTER);
    return defineInstance({
      service,
      host: ip,
      port,
      id: [ip, port, cluster, named].join("#"), // as Nacos itself does where it tells one
      protocol: foreignProtocol(meta, []),
      weight: Math.min(MAX_WEIGHT, weight),
      zone: foreignLabel(meta["zone"]) ?? (cluster === DEFAULT_CLUSTER ? undefined : foreignLabel(cluster)),
      version: foreignLabel(meta["version"]),
      metadata: foreignMetadata(meta),
      status,
    });
  }
  return defineInstance({
    service, // not spread: that takes four times as long
    host: ip,
    port,
    id: meta[KEYS.id],
    protocol: meta["protocol"] as Protocol | undefined,
    weight: Number(meta[KEYS.weight] ?? weight),
    zone: meta["zone"],
    version: meta["version"],
    tags: meta[KEYS.tags] === undefined ? [] : (JSON.parse(meta[KEYS.tags] ?? "") as readonly string[]),
    metadata: unpacked(meta),
    status,
    ttlMs: numberIn(meta[KEYS.timeout]),
    registeredAt: numberIn(meta[KEYS.registered]),
    incarnation: Number(meta[KEYS.life]),
  });
}

function defaultId({ service, host, port }: ServiceInstance): string {
  return `${service}@${hostPort(host, port)}`;
}

function statusOf({ healthy, enabled }: Host, declared: string | undefined): InstanceStatus {
  if (healthy === false) return "failed";
  if (declared === "starting" || declared === "draining") return declared;
  return enabled === false ? "draining" : "healthy";
}

/** One id may stand on two addresses: Nacos tells instances apart by these alone. */
function outlives(instance: ServiceInstance, twin: ServiceInstance): boolean {
  if ((instance.status === "failed") !== (twin.status === "failed")) return twin.status === "failed";
  return (instance.registeredAt ?? 0) >= (twin.registeredAt ?? 0);
}

function numberIn(text: string | undefined): number | undefined {
  const number = Number(text);
  return text === undefined || !Number.isFinite(number) ? undefined : number;
}
