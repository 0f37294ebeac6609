import { DiscoveryError } from "../model/errors.js";
import { hostName, invalid } from "../model/fields.js";
import {
  byId,
  type DeclaredStatus,
  defineInstance,
  type InstanceStatus,
  type Protocol,
  type ServiceInstance,
} from "../model/instance.js";
import type { Readable } from "../wire/json.js";
import { packed, unpacked } from "./eureka-meta.js";
import type { EurekaPages } from "./eureka-pages.js";
import { foreignLabel, foreignMetadata, foreignProtocol } from "./foreign.js";

/** A weight as the model knows it ends here; that of others is cut. */
const MAX_WEIGHT = 1_000;
/** Others read a weight as a whole number above none; ours, where it differs, stands beside it. */
const EXACT_WEIGHT = "mcp-weight";
const LIFE = "mcp-life";
const TTL = "mcp-ttl-ms";
const REGISTERED = "mcp-registered-ms";
const TAGS = "mcp-tags";
/** What its agent declares, if not `healthy`: tells its own drain from an operator's. */
export const DECLARED = "mcp-status";

/** A lease that was renewed lives twice its duration; Netflix knows and keeps it. */
const DURATIONS_PER_TTL = 2;

/** What Eureka calls what an agent declares. */
export const EUREKA_STATUS = {
  healthy: "UP",
  starting: "STARTING",
  draining: "OUT_OF_SERVICE",
} as const satisfies Record<DeclaredStatus, string>;

/** And back. `UNKNOWN` is an instance that must register again before anyone should call it. */
const STATUS_OF: Readonly<Record<string, InstanceStatus>> = {
  UP: "healthy",
  STARTING: "starting",
  OUT_OF_SERVICE: "draining",
  DOWN: "failed",
  UNKNOWN: "failed",
};

/** The duration of a lease, in seconds, that ends `ttlMs` or little more after its last renewal. */
export function durationOf(ttlMs: number): number {
  return Math.ceil(ttlMs / DURATIONS_PER_TTL / 1_000);
}

/** When such a lease ends after its last renewal, in milliseconds. */
export function ttlOf(seconds: number): number {
  return seconds * DURATIONS_PER_TTL * 1_000;
}

/** An id as part of a path. @throws {DiscoveryError} `INVALID_OPTION` for what Eureka takes and can never find again */
export function idInPath(id: string): string {
  if (/[/\\]/.test(id)) throw invalid("id", id, "free of / and \\: Eureka could neither renew nor remove it");
  return encodeURIComponent(id).replace(/^\.+$/, (dots) => "%2E".repeat(dots.length));
}

/** What Eureka is told of an instance, and of its pages. Its life, ttl and registration must be known. */
export function toEureka(instance: ServiceInstance, pages: EurekaPages = {}): Readonly<Record<string, unknown>> {
  const { id, service, host, port, protocol, weight, zone, version, tags, ttlMs = 0, registeredAt } = instance;
  const whole = Math.max(1, Math.round(weight));
  const secure = protocol === "https";
  const status = instance.status as DeclaredStatus;
  const own = {
    protocol,
    weight: String(whole),
    ...(weight === whole ? {} : { [EXACT_WEIGHT]: String(weight) }),
    ...(zone === undefined ? {} : { zone }),
    ...(version === undefined ? {} : { version }),
    ...(tags.length === 0 ? {} : { [TAGS]: JSON.stringify(tags) }),
    ...(status === "healthy" ? {} : { [DECLARED]: status }),
    [TTL]: String(ttlMs),
    [REGISTERED]: String(registeredAt),
    [LIFE]: String(instance.incarnation),
  };
  const duration = durationOf(ttlMs);
  return {
    instanceId: id,
    app: service.toUpperCase(),
    hostName: host.includes(":") ? `[${host}]` : host, // Spring puts it into URLs as it stands
    ipAddr: host,
    vipAddress: service, // by this name Spring finds it
    secureVipAddress: service,
    status: EUREKA_STATUS[status],
    ...(status === "healthy" ? {} : { overriddenStatus: EUREKA_STATUS[status] }),
    port: { $: port, "@enabled": String(!secure) },
    securePort: { $: port, "@enabled": String(secure) },
    dataCenterInfo: { "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", name: "MyOwn" },
    leaseInfo: { renewalIntervalInSecs: Math.ceil(ttlMs / 3_000), durationInSecs: duration },
    metadata: packed(instance.metadata, own),
    ...pages,
  };
}

/**
 * Reads what Eureka lists of an application, in the order of ids; records that cannot be read are counted, the others
 * stand.
 *
 * @throws {DiscoveryError} `PROTOCOL` if it is no application
 */
export function fromEureka(service: string, body: unknown): Readable {
  const { application } = (body ?? {}) as { readonly application?: { readonly instance?: unknown } };
  if (typeof application !== "object" || application === null) {
    throw new DiscoveryError("PROTOCOL", "Eureka's answer is no application", { service });
  }
  const { instance: given = [] } = application;
  const instances = new Map<string, ServiceInstance>();
  let invalid = 0;
  for (const record of Array.isArray(given) ? given : [given]) {
    try {
      const instance = instanceFrom(service, record as EurekaRecord);
      instances.set(instance.id, instance);
    } catch {
      invalid++;
    }
  }
  return { instances: [...instances.values()].sort(byId), invalid };
}

/** One instance as Eureka tells it; nothing of it is believed yet. */
export interface EurekaRecord {
  readonly instanceId?: unknown;
  readonly app?: unknown;
  readonly hostName?: unknown;
  readonly ipAddr?: unknown;
  readonly status?: unknown;
  readonly overriddenStatus?: unknown;
  readonly port?: EurekaPort;
  readonly securePort?: EurekaPort;
  readonly dataCenterInfo?: { readonly metadata?: unknown } | undefined;
  readonly leaseInfo?: { readonly durationInSecs?: unknown } | undefined;
  readonly metadata?: unknown;
  readonly lastDirtyTimestamp?: unknown;
}

interface EurekaPort {
  readonly $?: unknown;
  readonly "@enabled"?: unknown;
}

/** One record as an instance of that service. @throws {DiscoveryError} `INVALID_OPTION` if it cannot be one */
export function instanceFrom(service: string, record: EurekaRecord): ServiceInstance {
  const meta = textsOf(record.metadata);
  const secure = isEnabled(record.securePort);
  const id = (record.instanceId ?? record.hostName) as string; // without an id Eureka goes by the host name
  const host = hostOf(record);
  const port = Number((secure ? record.securePort : record.port)?.$);
  const status = STATUS_OF[String(record.status)] ?? "failed";
  const life = lifeOf(record);
  if (life === undefined) {
    const { durationInSecs: seconds } = record.leaseInfo ?? {};
    const weight = Number(meta["weight"] ?? 1);
    return defineInstance({
      service,
      id,
      host,
      port,
      status,
      protocol: secure ? "https" : foreignProtocol(meta, []),
      weight: weight >= 0 ? Math.min(MAX_WEIGHT, weight) : 1,
      zone: foreignLabel(meta["zone"] ?? textsOf(record.dataCenterInfo?.metadata)["availability-zone"]),
      version: foreignLabel(meta["version"]),
      metadata: foreignMetadata(meta),
      ttlMs: typeof seconds === "number" && seconds > 0 ? ttlOf(seconds) : undefined,
      incarnation: Number(record.lastDirtyTimestamp ?? 0), // the same at every peer, new with every registration
    });
  }
  return defineInstance({
    service, // not spread: that takes a third of all the time
    id,
    host,
    port,
    status,
    protocol: meta["protocol"] as Protocol | undefined,
    weight: Number(meta[EXACT_WEIGHT] ?? meta["weight"] ?? 1),
    zone: meta["zone"],
    version: meta["version"],
    tags: meta[TAGS] === undefined ? undefined : (JSON.parse(meta[TAGS]) as readonly string[]),
    metadata: unpacked(meta),
    ttlMs: numberIn(meta[TTL]),
    registeredAt: numberIn(meta[REGISTERED]),
    incarnation: life,
  });
}

/** The life a record says it is; undefined if none of ours registered it. */
export function lifeOf(record: EurekaRecord): number | undefined {
  return numberIn(textsOf(record.metadata)[LIFE]);
}

/** Whether its status is an order of someone else than its own agent. */
export function isOrdered(record: EurekaRecord): boolean {
  const { overriddenStatus: order = "UNKNOWN" } = record;
  return order !== "UNKNOWN" && !textsOf(record.metadata)[DECLARED];
}

/** Spring calls the host name; some are none (Docker's may hold `_`), and the address will do. */
function hostOf({ hostName: name, ipAddr: address }: EurekaRecord): string {
  for (const each of [name, address]) {
    try {
      return hostName("hostName", typeof each === "string" ? each.replace(/^\[(.*)\]$/, "$1") : each);
    } catch {}
  }
  throw invalid("hostName", name, "a host that can be reached");
}

function isEnabled(port: EurekaPort | undefined): boolean {
  return String(port?.["@enabled"]) === "true";
}

function textsOf(meta: unknown): Readonly<Record<string, string>> {
  return typeof meta === "object" && meta !== null ? (meta as Record<string, string>) : {};
}

function numberIn(text: string | undefined): number | undefined {
  const number = Number(text);
  return text === undefined || !Number.isFinite(number) ? undefined : number;
}
