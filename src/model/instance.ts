import {
  hostName,
  instanceId,
  label,
  type Metadata,
  metadataOf,
  numberIn,
  oneOf,
  serviceName,
  tagList,
} from "./fields.js";

const DECLARED = ["starting", "healthy", "draining"] as const;
const STATUSES = ["healthy", "unstable", "draining", "failed", "starting"] as const;
/** Every way an instance can be spoken to. */
export const PROTOCOLS = ["http", "https", "grpc", "tcp"] as const;

/** What an agent may say of itself. */
export type DeclaredStatus = (typeof DECLARED)[number];
/** What a registry publishes: the worse of what the agent declares and what the registry observes. */
export type InstanceStatus = (typeof STATUSES)[number];
/** How an instance is spoken to. */
export type Protocol = (typeof PROTOCOLS)[number];

/** A running copy of a service, as the registry tells it. Frozen. */
export interface ServiceInstance {
  /** Stable over restarts; `service@host:port` unless set. */
  readonly id: string;
  /** Lower case. */
  readonly service: string;
  /** IPv4, IPv6 (without brackets) or a host name. */
  readonly host: string;
  readonly port: number;
  readonly protocol: Protocol;
  /** Share of traffic relative to the others, 0 to 1000; 0 asks for no new traffic. */
  readonly weight: number;
  readonly zone: string | undefined;
  readonly version: string | undefined;
  readonly tags: readonly string[];
  readonly metadata: Metadata;
  readonly status: InstanceStatus;
  /** How long the registration lives without a heartbeat, in milliseconds, where the registry tells. */
  readonly ttlMs: number | undefined;
  /** When this life was registered, in milliseconds since 1970, where the registry tells. */
  readonly registeredAt: number | undefined;
  /** Which life of this id it is; 0 where the registry does not tell. Only equality has a meaning. */
  readonly incarnation: number;
}

/** What is needed to describe an instance; all but the first three have defaults. */
export interface InstanceInput {
  readonly service: string;
  readonly host: string;
  readonly port: number;
  /** @default `service@host:port` */
  readonly id?: string | undefined;
  /** @default "http" */
  readonly protocol?: Protocol | undefined;
  /** 0 to 1000, decimals allowed. @default 1 */
  readonly weight?: number | undefined;
  readonly zone?: string | undefined;
  readonly version?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** @default "healthy" */
  readonly status?: InstanceStatus | undefined;
  readonly ttlMs?: number | undefined;
  readonly registeredAt?: number | undefined;
  readonly incarnation?: number | undefined;
}

/** What a message calls the fields of an instance. */
function namesUnder(path: string) {
  return {
    id: `${path}.id`,
    service: `${path}.service`,
    host: `${path}.host`,
    port: `${path}.port`,
    protocol: `${path}.protocol`,
    weight: `${path}.weight`,
    zone: `${path}.zone`,
    version: `${path}.version`,
    tags: `${path}.tags`,
    metadata: `${path}.metadata`,
    status: `${path}.status`,
  };
}

const USUAL_PATH = "instance";
const USUAL_NAMES = namesUnder(USUAL_PATH); // made once: instances are read by the thousand, and most have no fault

/** Joined, for V8 keeps a template as a tree of its parts, thrice as large. */
function defaultId(service: string, host: string, port: number): string {
  return [service, hostPort(host, port)].join("@");
}

/**
 * Checks an instance and freezes it; every instance in the library has passed here.
 *
 * @param path what the instance is called in an error message: `agent`, `instances[3]`
 * @throws {DiscoveryError} `INVALID_OPTION`, naming the field
 */
export function defineInstance(input: InstanceInput, path = USUAL_PATH): ServiceInstance {
  const at = path === USUAL_PATH ? USUAL_NAMES : namesUnder(path);
  const service = serviceName(at.service, input.service);
  const host = hostName(at.host, input.host);
  const port = numberIn(at.port, input.port, 1, 65_535, true);
  const { id, protocol, weight, status } = input;
  return Object.freeze({
    id: id === undefined ? defaultId(service, host, port) : instanceId(at.id, id),
    service,
    host,
    port,
    protocol: protocol === undefined ? "http" : oneOf(at.protocol, protocol, PROTOCOLS),
    weight: weight === undefined ? 1 : numberIn(at.weight, weight, 0, 1_000),
    zone: label(at.zone, input.zone),
    version: label(at.version, input.version),
    tags: tagList(at.tags, input.tags),
    metadata: metadataOf(at.metadata, input.metadata),
    status: status === undefined ? "healthy" : oneOf(at.status, status, STATUSES),
    ttlMs: input.ttlMs,
    registeredAt: input.registeredAt,
    incarnation: input.incarnation ?? 0,
  });
}

/** A copy with some fields changed, checked again. */
export function withFields(instance: ServiceInstance, fields: Partial<InstanceInput>, path?: string): ServiceInstance {
  return defineInstance({ ...instance, ...fields }, path);
}

/**
 * The record of one life of an instance, as a registry keeps it; the rest was checked before.
 *
 * @param like another of the same service: what both say alike is kept once
 */
export function enlisted(
  instance: ServiceInstance,
  life: Required<Pick<ServiceInstance, "ttlMs" | "registeredAt" | "incarnation">>,
  like = instance,
): ServiceInstance {
  return Object.freeze({
    id: instance.id,
    service: instance.service === like.service ? like.service : instance.service,
    host: instance.host,
    port: instance.port,
    protocol: instance.protocol,
    weight: instance.weight,
    zone: instance.zone === like.zone ? like.zone : instance.zone,
    version: instance.version === like.version ? like.version : instance.version,
    tags: sameTags(instance.tags, like.tags) ? like.tags : instance.tags,
    metadata: sameMetadata(instance.metadata, like.metadata) ? like.metadata : instance.metadata,
    status: instance.status,
    ttlMs: life.ttlMs,
    registeredAt: life.registeredAt,
    incarnation: life.incarnation,
  }); // not spread: that takes four times as long
}

/** The same instance in another status. */
export function inStatus(instance: ServiceInstance, status: InstanceStatus): ServiceInstance {
  return instance.status === status ? instance : Object.freeze({ ...instance, status });
}

/** Checks what an agent declares of itself. @throws {DiscoveryError} `INVALID_OPTION` */
export function declaredStatus(field: string, value: unknown): DeclaredStatus {
  return oneOf(field, value, DECLARED);
}

/** Whether it is a status a registry may publish. */
export function isStatus(value: unknown): value is InstanceStatus {
  return (STATUSES as readonly unknown[]).includes(value);
}

/** `host:port` as it stands in a URL: IPv6 in brackets. */
export function hostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether two records say the same; registration times and the like do not count. */
export function sameInstance(a: ServiceInstance, b: ServiceInstance): boolean {
  return (
    a === b ||
    (a.id === b.id &&
      a.service === b.service &&
      a.host === b.host &&
      a.port === b.port &&
      a.status === b.status &&
      a.incarnation === b.incarnation &&
      a.weight === b.weight &&
      a.protocol === b.protocol &&
      a.zone === b.zone &&
      a.version === b.version &&
      a.ttlMs === b.ttlMs &&
      sameTags(a.tags, b.tags) &&
      sameMetadata(a.metadata, b.metadata))
  );
}

function sameTags(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((tag, index) => tag === b[index]));
}

function sameMetadata(a: Metadata, b: Metadata): boolean {
  if (a === b) return true;
  let count = 0;
  for (const key in a) {
    if (a[key] !== b[key]) return false; // no value is undefined
    count++;
  }
  for (const _ in b) count--;
  return count === 0;
}

/** Orders by id, in code units: the same everywhere, whatever the locale. */
export function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}
