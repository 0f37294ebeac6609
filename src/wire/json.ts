import { DiscoveryError } from "../model/errors.js";
import { defineInstance, type InstanceInput, type ServiceInstance } from "../model/instance.js";
import type { Position, RegistryUpdate, Removal } from "../model/update.js";

/** An instance as it stands on the wire: `snake_case`, durations in seconds. */
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
}

/** What others need to know of an instance; what has its default value is said all the same. */
export function toWire(instance: ServiceInstance): WireInstance {
  const { id, service, host, port, protocol, weight, zone, version, tags, metadata, status } = instance;
  const { ttlMs, registeredAt, incarnation } = instance;
  const ttl = ttlMs === undefined ? undefined : ttlMs / 1_000;
  const registered_at = registeredAt === undefined ? undefined : registeredAt / 1_000;
  const first = {
    id,
    service_name: service,
    host,
    port,
    protocol,
    weight,
    zone,
    version,
    tags,
    metadata,
  };
  return { ...first, status, ttl, registered_at, incarnation };
}

/**
 * Reads an instance from the wire and checks all of it.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`, naming the field
 */
export function fromWire(wire: WireInstance, path?: string): ServiceInstance {
  const { service_name, ttl, registered_at, ...rest } = wire;
  const input = {
    ...rest,
    service: service_name,
    ttlMs: typeof ttl === "number" ? ttl * 1_000 : undefined,
    registeredAt: typeof registered_at === "number" ? registered_at * 1_000 : undefined,
    incarnation: typeof rest.incarnation === "number" ? rest.incarnation : 0,
  };
  return defineInstance(input as unknown as InstanceInput, path);
}

/** Reads many; those that cannot be read are counted, the others stand. */
export function manyFromWire(records: unknown): {
  readonly instances: ServiceInstance[];
  readonly invalid: number;
} {
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

/** `EPOCH:REVISION`, the form in which positions are quoted back to a server. */
export function positionOf(epoch: unknown, revision: unknown): Position | undefined {
  return typeof epoch === "string" && typeof revision === "number" ? `${epoch}:${revision}` : undefined;
}

/** The revision in a position, for the field of that name; 0 where there is none. */
export function revisionOf(position: Position | undefined): number {
  const revision = Number(position?.slice(position.lastIndexOf(":") + 1));
  return Number.isSafeInteger(revision) ? revision : 0;
}

/** The epoch in a position; the whole of it where there is no revision. */
export function epochOf(position: Position | undefined): string {
  return position === undefined ? "" : position.slice(0, Math.max(0, position.lastIndexOf(":")));
}

/** An update as the line of a watch; undefined for one that says nothing. */
export function toEvent(service: string, update: RegistryUpdate): WireEvent {
  const service_name = service;
  const epoch = update.epoch ?? epochOf("position" in update ? update.position : undefined);
  switch (update.type) {
    case "reset": {
      const { warming = false, instances, position } = update;
      return {
        event: "snapshot",
        service_name,
        epoch,
        revision: revisionOf(position),
        warming,
        instances: instances.map(toWire),
      };
    }
    case "change": {
      const { upserted, removed, since, position } = update;
      const added = upserted.map(toWire); // whether new or not, the reader knows best
      return {
        event: "delta",
        service_name,
        epoch,
        revision: revisionOf(position),
        since: revisionOf(since),
        added,
        updated: [],
        removed,
      };
    }
    case "absent":
      return {
        event: "absent",
        service_name,
        epoch,
        warming: update.warming ?? false,
      };
    case "current":
      return {
        event: "ping",
        service_name,
        epoch,
        revision: revisionOf(update.position),
      };
  }
}

/** A line of a watch as an update; undefined for lines that are about no service. */
export function fromEvent(event: WireEvent): RegistryUpdate | undefined {
  const { epoch, warming } = event;
  const position = positionOf(epoch, event.revision);
  switch (event.event) {
    case "snapshot":
      return {
        type: "reset",
        ...manyFromWire(event.instances),
        position,
        epoch,
        warming,
      };
    case "delta": {
      const { instances, invalid } = manyFromWire([...(event.added ?? []), ...(event.updated ?? [])]);
      if (position === undefined) throw new DiscoveryError("PROTOCOL", "A delta without epoch or revision");
      const since = positionOf(epoch, event.since);
      return {
        type: "change",
        upserted: instances,
        invalid,
        removed: event.removed ?? [],
        since,
        position,
        epoch,
      };
    }
    case "absent":
      return { type: "absent", epoch, warming };
    case "ping":
      return { type: "current", position, epoch };
    default:
      return undefined;
  }
}
