import { DiscoveryError } from "../model/errors.js";
import { defineInstance, type InstanceInput, type ServiceInstance } from "../model/instance.js";
import type { Position, RegistryUpdate, Removal, RemovalReason } from "../model/update.js";

/** An instance as it stands on the wire: `snake_case`, durations in seconds. Nothing of it is believed yet. */
export interface WireInstance {
  readonly id?: unknown;
  readonly service_name?: unknown;
  readonly host?: unknown;
  readonly port?: unknown;
  readonly protocol?: unknown;
  readonly weight?: unknown;
  readonly zone?: unknown;
  readonly version?: unknown;
  readonly tags?: unknown;
  readonly metadata?: unknown;
  readonly status?: unknown;
  readonly ttl?: unknown;
  readonly registered_at?: unknown;
  readonly incarnation?: unknown;
}

/** What others need to know of an instance; what has its default value is said all the same. */
export function toWire(instance: ServiceInstance): WireInstance {
  const { ttlMs, registeredAt } = instance;
  return {
    id: instance.id,
    service_name: instance.service,
    host: instance.host,
    port: instance.port,
    protocol: instance.protocol,
    weight: instance.weight,
    zone: instance.zone,
    version: instance.version,
    tags: instance.tags,
    metadata: instance.metadata,
    status: instance.status,
    ttl: ttlMs === undefined ? undefined : ttlMs / 1_000,
    registered_at: registeredAt === undefined ? undefined : registeredAt / 1_000,
    incarnation: instance.incarnation,
  };
}

/**
 * Reads an instance from the wire and checks all of it. `null` stands for what is not said, unknown fields are skipped.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`, naming the field
 */
export function fromWire(wire: WireInstance, path?: string): ServiceInstance {
  const { ttl, registered_at, incarnation } = wire;
  const input = {
    id: wire.id ?? undefined,
    service: wire.service_name,
    host: wire.host,
    port: wire.port,
    protocol: wire.protocol ?? undefined,
    weight: wire.weight ?? undefined,
    zone: wire.zone,
    version: wire.version,
    tags: wire.tags,
    metadata: wire.metadata,
    status: wire.status ?? undefined,
    ttlMs: typeof ttl === "number" ? ttl * 1_000 : undefined,
    registeredAt: typeof registered_at === "number" ? registered_at * 1_000 : undefined,
    incarnation: typeof incarnation === "number" ? incarnation : 0,
  };
  return defineInstance(input as unknown as InstanceInput, path); // which believes nothing
}

/** Instances that could be read, and how many could not. */
export interface Readable {
  readonly instances: readonly ServiceInstance[];
  readonly invalid: number;
}

/**
 * Reads many; those that cannot be read are counted, the others stand.
 *
 * @throws {DiscoveryError} `PROTOCOL` if it is no array
 */
export function manyFromWire(records: unknown): Readable {
  if (!Array.isArray(records)) throw new DiscoveryError("PROTOCOL", "A list of instances is no array");
  const instances: ServiceInstance[] = [];
  let invalid = 0;
  for (const record of records) {
    try {
      instances.push(fromWire(record as WireInstance));
    } catch {
      invalid++;
    }
  }
  return { instances, invalid };
}

/** `EPOCH:REVISION`, the form in which positions are quoted back to a server; undefined where one is not told. */
export function positionOf(epoch: unknown, revision: unknown): Position | undefined {
  return typeof epoch === "string" && typeof revision === "number" ? `${epoch}:${revision}` : undefined;
}

/** A position as its registry gave it: without the empty epoch that stands before one that has none. */
export function positionIn(quoted: string): Position {
  return quoted.startsWith(":") ? quoted.slice(1) : quoted;
}

/** The revision in a position, for the field of that name; 0 where there is none. */
export function revisionOf(position: Position | undefined): number {
  const revision = Number(position?.slice(position.lastIndexOf(":") + 1));
  return Number.isSafeInteger(revision) ? revision : 0;
}

/** The epoch in a position; empty where there is none. */
export function epochOf(position: Position | undefined): string {
  return position === undefined ? "" : position.slice(0, Math.max(0, position.lastIndexOf(":")));
}

/** One line of a watch. */
export interface WireEvent {
  readonly event: "hello" | "snapshot" | "delta" | "absent" | "ping";
  readonly service_name?: string;
  readonly watch_id?: string;
  readonly epoch?: string;
  readonly revision?: number;
  readonly since?: number;
  readonly warming?: boolean;
  readonly instances?: readonly WireInstance[];
  readonly added?: readonly WireInstance[];
  readonly updated?: readonly WireInstance[];
  readonly removed?: readonly Removal[];
  /** Somebody is to be called no more, and waits until the readers have taken note. */
  readonly ack?: true;
}

const REASONS: ReadonlySet<unknown> = new Set<RemovalReason>([
  "deregistered",
  "expired",
  "probe_failed",
  "replaced",
  "evicted",
]);

/** An update as the line of a watch. */
export function toEvent(service: string, update: RegistryUpdate): WireEvent {
  const service_name = service;
  const position = update.type === "absent" ? undefined : update.position;
  const epoch = update.epoch ?? epochOf(position);
  const revision = revisionOf(position);
  switch (update.type) {
    case "reset": {
      const { warming = false, instances } = update;
      return { event: "snapshot", service_name, epoch, revision, warming, instances: instances.map(toWire) };
    }
    case "change": {
      const { upserted, removed } = update;
      const since = revisionOf(update.since);
      const added = upserted.map(toWire); // new to this reader or not: the reader knows best
      const delta = { event: "delta", service_name, epoch, revision, since, added, updated: [], removed } as const;
      return takesOut(update) ? { ...delta, ack: true } : delta;
    }
    case "absent":
      return { event: "absent", service_name, epoch, warming: update.warming ?? false };
    case "current":
      return { event: "ping", service_name, epoch, revision };
  }
}

/** Whether somebody leaves on purpose, in good order: whoever is expired or fails waits for nobody. */
function takesOut({ upserted, removed }: RegistryUpdate & { type: "change" }): boolean {
  return (
    removed.some(({ reason }) => reason === "deregistered") || upserted.some(({ status }) => status === "draining")
  );
}

/**
 * A line of a watch as an update; undefined for a line that tells of no change and no service.
 *
 * @throws {DiscoveryError} `PROTOCOL` if it is no event
 */
export function fromEvent(line: unknown): RegistryUpdate | undefined {
  if (typeof line !== "object" || line === null) throw new DiscoveryError("PROTOCOL", "A line of a watch is no object");
  const event = line as WireEvent;
  const epoch = typeof event.epoch === "string" ? event.epoch : undefined;
  const warming = event.warming === true;
  const position = positionOf(epoch, event.revision);
  switch (event.event) {
    case "snapshot":
      return { type: "reset", ...manyFromWire(event.instances), position, epoch, warming };
    case "delta": {
      if (position === undefined) throw new DiscoveryError("PROTOCOL", "A delta without epoch or revision");
      const added = manyFromWire(event.added ?? []);
      const updated = manyFromWire(event.updated ?? []);
      const upserted = [...added.instances, ...updated.instances];
      const invalid = added.invalid + updated.invalid;
      const since = positionOf(epoch, event.since);
      return { type: "change", upserted, invalid, removed: removals(event.removed), since, position, epoch };
    }
    case "absent":
      return { type: "absent", epoch, warming };
    case "ping":
      return { type: "current", position, epoch };
    default:
      return undefined; // hello, and what later servers may add
  }
}

/** A reason nobody knows is none: the removal will be doubted. */
function removals(given: unknown): Removal[] {
  if (given === undefined) return [];
  if (!Array.isArray(given)) throw new DiscoveryError("PROTOCOL", "The removed of a delta are no array");
  return given.map((each: unknown) => {
    const { id, reason } = (each ?? {}) as { id?: unknown; reason?: unknown };
    if (typeof id !== "string") throw new DiscoveryError("PROTOCOL", "A delta removes what has no id");
    return { id, reason: REASONS.has(reason) ? (reason as RemovalReason) : undefined };
  });
}
