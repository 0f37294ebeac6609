import { DiscoveryError } from "../model/errors.js";
import { byId, defineInstance, type InstanceStatus, type Protocol, type ServiceInstance } from "../model/instance.js";
import type { Readable } from "../wire/json.js";
import { packed, unpacked } from "./consul-meta.js";
import { foreignLabel, foreignMetadata, foreignProtocol, foreignTags } from "./foreign.js";

/** Consul removes a critical instance no sooner than this, in milliseconds: five minutes, so that an outage empties no list. */
const REMOVE_AFTER_MS = 5 * 60_000;
const TTLS_UNTIL_REMOVAL = 10;
/** Consul's own bounds for a weight: a whole number, and never none. */
const WEIGHT = { min: 1, max: 65_535 } as const;
/** A weight as the model knows it ends here; that of others is cut. */
const MAX_WEIGHT = 1_000;

const LIFE = "mcp-life";
const TTL = "mcp-ttl-ms";
const REGISTERED = "mcp-registered-ms";
const EXACT_WEIGHT = "mcp-weight";

/** The name of the check that keeps one life of an instance; whoever passes it renews that life and no other. */
export function checkIdOf(id: string, life: number): string {
  return `mcp:${id}:${life}`;
}

/** The life in such a name. */
export function lifeIn(checkId: string): number {
  return Number(checkId.slice(checkId.lastIndexOf(":") + 1));
}

/** The life a registered service says it is; undefined if none of ours registered it. */
export function lifeOf(service: { readonly Meta?: unknown }): number | undefined {
  const life = textsOf(service.Meta)[LIFE];
  return life === undefined ? undefined : Number(life);
}

/** What Consul's agent is told of an instance. Its life, ttl and registration must be known. */
export function toConsul(instance: ServiceInstance): Readonly<Record<string, unknown>> {
  const { id, service, host, port, protocol, weight, zone, version, ttlMs = 0, registeredAt, incarnation } = instance;
  const passing = Math.min(WEIGHT.max, Math.max(WEIGHT.min, Math.round(weight)));
  const own = {
    protocol,
    ...(zone === undefined ? {} : { zone }),
    ...(version === undefined ? {} : { version }),
    ...(weight === passing ? {} : { [EXACT_WEIGHT]: String(weight) }),
    [TTL]: String(ttlMs),
    [REGISTERED]: String(registeredAt),
    [LIFE]: String(incarnation),
  };
  return {
    ID: id,
    Name: service,
    Address: host,
    Port: port,
    Tags: instance.tags,
    Meta: packed(instance.metadata, own),
    Weights: { Passing: passing, Warning: WEIGHT.min },
    Check: {
      CheckID: checkIdOf(id, incarnation),
      Name: "Heartbeat",
      TTL: `${ttlMs}ms`,
      Status: "passing",
      DeregisterCriticalServiceAfter: `${Math.max(REMOVE_AFTER_MS, ttlMs * TTLS_UNTIL_REMOVAL)}ms`,
    },
  };
}

/**
 * Reads what Consul lists of a service, in the order of ids; records that cannot be read are counted, the others stand.
 *
 * @throws {DiscoveryError} `PROTOCOL` if it is no array
 */
export function fromConsul(service: string, entries: unknown): Readable {
  if (!Array.isArray(entries)) throw new DiscoveryError("PROTOCOL", "Consul's list of instances is no array");
  const instances = new Map<string, ServiceInstance>();
  let invalid = 0;
  for (const entry of entries) {
    try {
      const instance = instanceFrom(service, entry as HealthEntry);
      const twin = instances.get(instance.id);
      if (!twin || outlives(instance, twin)) instances.set(instance.id, instance);
    } catch {
      invalid++;
    }
  }
  return { instances: [...instances.values()].sort(byId), invalid };
}

/** One element of a health answer; nothing of it is believed yet. */
interface HealthEntry {
  readonly Node: { readonly Node: unknown; readonly Address: unknown };
  readonly Service: {
    readonly ID: unknown;
    readonly Address?: unknown;
    readonly Port: unknown;
    readonly Tags?: unknown;
    readonly Meta?: unknown;
    readonly Weights?: { readonly Passing?: unknown; readonly Warning?: unknown };
    readonly CreateIndex?: unknown;
  };
  readonly Checks?: unknown;
}

function instanceFrom(service: string, { Node: node, Service: record, Checks: checks }: HealthEntry): ServiceInstance {
  const meta = textsOf(record.Meta);
  const host = (record.Address || node.Address) as string;
  const port = record.Port as number;
  const status = statusOf(checks);
  const life = lifeOf(record);
  const weight = status === "unstable" ? record.Weights?.Warning : record.Weights?.Passing;
  if (life === undefined) {
    const tags = foreignTags(record.Tags);
    return defineInstance({
      service,
      host,
      port,
      status,
      id: `${String(node.Node)}/${String(record.ID)}`, // an id is unique on its node only
      protocol: foreignProtocol(meta, tags),
      weight: Math.min(MAX_WEIGHT, Number(weight ?? 1)),
      zone: foreignLabel(meta["zone"]),
      version: foreignLabel(meta["version"]),
      tags,
      metadata: record.Meta ? foreignMetadata(meta) : undefined,
      incarnation: Number(record.CreateIndex ?? 0),
    });
  }
  return defineInstance({
    service, // not spread: that takes seven times as long
    host,
    port,
    status,
    id: record.ID as string,
    protocol: meta["protocol"] as Protocol | undefined,
    weight: Number(meta[EXACT_WEIGHT] ?? record.Weights?.Passing ?? 1),
    zone: meta["zone"],
    version: meta["version"],
    tags: record.Tags as readonly string[] | undefined,
    metadata: unpacked(meta),
    ttlMs: numberIn(meta[TTL]),
    registeredAt: numberIn(meta[REGISTERED]),
    incarnation: life,
  });
}

/** The worst of what its checks say. Maintenance comes from its agent or an operator, and asks for no new calls. */
function statusOf(checks: unknown): InstanceStatus {
  let status: InstanceStatus = "healthy";
  let asked: InstanceStatus | undefined;
  for (const { CheckID: id, Status: said, Notes: notes } of Array.isArray(checks) ? checks : []) {
    if (isMaintenance(id)) asked = notes === "starting" ? "starting" : "draining";
    else if (said === "critical") return "failed";
    else if (said === "warning") status = "unstable";
  }
  return asked ?? status;
}

function isMaintenance(checkId: unknown): boolean {
  if (typeof checkId !== "string") return false;
  return checkId.startsWith("_service_maintenance") || checkId.startsWith("_node_maintenance");
}

/** An instance that moved to another Consul agent is listed twice until its old record expires. */
function outlives(instance: ServiceInstance, twin: ServiceInstance): boolean {
  if ((instance.status === "failed") !== (twin.status === "failed")) return twin.status === "failed";
  return (instance.registeredAt ?? 0) > (twin.registeredAt ?? 0);
}

function textsOf(meta: unknown): Readonly<Record<string, string>> {
  return typeof meta === "object" && meta !== null ? (meta as Record<string, string>) : {};
}

function numberIn(text: string | undefined): number | undefined {
  const number = Number(text);
  return text === undefined || !Number.isFinite(number) ? undefined : number;
}
