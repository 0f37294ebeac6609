import { DiscoveryError } from "../model/errors.js";
import { numberIn } from "../model/fields.js";
import { type DeclaredStatus, declaredStatus, type ServiceInstance } from "../model/instance.js";
import type { MemoryRegistry } from "../registry/memory-options.js";
import type { Beat, Lease, Registry } from "../registry/registry.js";
import { fromWire, toWire, type WireInstance } from "../wire/json.js";
import type { Fields } from "./body.js";
import { Problem } from "./problem.js";

/** The spec's default `ttl`, and the range of it, in seconds. */
const TTL_S = { fallback: 30, min: 3, max: 86_400 } as const;
/** Leases in one heartbeat. */
const MAX_BATCH = 1_000;
/** Leases remembered for a registry that cannot find them by name. */
const MAX_LEASES = 100_000;
const UPDATABLE = ["metadata", "tags", "weight", "zone", "version", "status"] as const;

/** An answer before it is written: its status and its JSON. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** What providers may ask of the server; each turns fields into calls of the registry. */
export class Registrations {
  readonly #registry: Registry & Partial<Pick<MemoryRegistry, "revision" | "warming" | "lease">>;
  /** Of registries that cannot find a lease by its name. */
  readonly #leases = new Map<string, Lease>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  async register(fields: Fields, signal: AbortSignal): Promise<Answer> {
    const ttl = fields["ttl"] === undefined ? TTL_S.fallback : numberIn("ttl", fields["ttl"], TTL_S.min, TTL_S.max);
    const { node_id, ...rest } = fields;
    const status = declaredStatus("status", fields["status"] ?? "healthy");
    const id = rest["id"] ?? node_id;
    const instance = fromWire(registration({ ...rest, ...(id === undefined ? {} : { id }), status }), "instance");
    const lease = await this.#registry.register(instance, {
      ttlMs: ttl * 1_000,
      signal,
    });
    this.#keep(lease);
    const { heartbeatMs, ttlMs, epoch, replaced } = lease;
    const body = {
      id: instance.id,
      instance_id: instance.id,
      lease_id: lease.id,
      ttl: ttlMs / 1_000,
      heartbeat_interval: heartbeatMs / 1_000,
      incarnation: lease.instance.incarnation,
      epoch,
      revision: this.#registry.revision ?? lease.instance.incarnation,
      warming: this.#registry.warming ?? false,
    };
    return { status: replaced ? 200 : 201, body };
  }

  async heartbeat(fields: Fields, signal: AbortSignal): Promise<Answer> {
    const single = fields["leases"] === undefined;
    const leases = single ? [fields] : fields["leases"];
    if (!Array.isArray(leases) || leases.length > MAX_BATCH) {
      throw new Problem(422, "REJECTED", `leases must be an array of at most ${MAX_BATCH}`, { field: "leases" });
    }
    const beats = leases.map((each, index) => this.#beat(each, single ? "" : `leases[${index}].`));
    const { unknown, epoch } = await this.#registry.renew(beats, { signal });
    const lost = new Map(unknown.map(({ lease, reason }) => [lease.id, reason ?? "unknown"]));
    for (const id of lost.keys()) this.#leases.delete(id);
    if (single && lost.size > 0) throw this.#unknown((beats[0] as Beat).lease.id, [...lost.values()][0]);
    const kept = beats.filter(({ lease }) => !lost.has(lease.id));
    const renewed = kept.map(({ lease: { id } }) => ({
      lease_id: id,
      status: this.#find(id)?.instance.status,
    }));
    const gone = [...lost].map(([lease_id, reason]) => ({ lease_id, reason }));
    return {
      status: 200,
      body: {
        renewed,
        unknown: gone,
        epoch,
        warming: this.#registry.warming ?? false,
      },
    };
  }

  async update(fields: Fields, signal: AbortSignal): Promise<Answer> {
    const lease = this.#find(leaseIdIn(fields));
    if (!lease) throw this.#unknown(leaseIdIn(fields), "unknown");
    const given = Object.fromEntries(UPDATABLE.filter((key) => key in fields).map((key) => [key, fields[key]]));
    if (given["status"] !== undefined) declaredStatus("status", given["status"]);
    const { service, ...rest } = lease.instance;
    const instance = fromWire({ ...rest, service_name: service, ...given, ttl: lease.ttlMs / 1_000 }, "instance");
    this.#keep(await this.#registry.update(lease, instance, { signal }));
    return { status: 200, body: { ...toWire(instance), lease_id: lease.id } };
  }

  async deregister(fields: Fields, signal: AbortSignal): Promise<Answer> {
    const id = leaseIdIn(fields);
    const { acked = 0, waiting = 0 } = await this.#registry.deregister(this.#find(id) ?? bareLease(id), { signal });
    this.#leases.delete(id);
    return { status: 200, body: { acked, waiting } };
  }

  #keep(lease: Lease): void {
    if (this.#registry.lease) return;
    this.#leases.set(lease.id, lease);
    if (this.#leases.size > MAX_LEASES) this.#leases.delete(this.#leases.keys().next().value as string);
  }

  #find(id: string): Lease | undefined {
    return this.#registry.lease ? this.#registry.lease(id) : this.#leases.get(id);
  }

  #beat(each: unknown, path: string): Beat {
    const fields = typeof each === "object" && each !== null ? (each as Fields) : {};
    const id = leaseIdIn(fields, path);
    const { status, load } = fields;
    const declared: DeclaredStatus | undefined =
      status === undefined ? undefined : declaredStatus(`${path}status`, status);
    const busy = load === undefined ? undefined : numberIn(`${path}load`, load, 0, 1_000);
    return {
      lease: this.#find(id) ?? bareLease(id),
      status: declared,
      load: busy,
    };
  }

  #unknown(id: string, reason: string | undefined): Problem {
    const detail = `No live lease ${id.slice(0, 4)}…: ${reason}. Register again.`;
    return new Problem(404, "LEASE_UNKNOWN", detail, { reason });
  }
}

/** `host` and `port` are required; what they are is checked with the rest. */
function registration(fields: Fields): WireInstance {
  for (const field of ["service_name", "host", "port"]) {
    if (fields[field] === undefined) {
      throw new DiscoveryError("INVALID_OPTION", `${field} is missing`, {
        field,
      });
    }
  }
  return fields;
}

function leaseIdIn(fields: Fields, path = ""): string {
  const id = fields["lease_id"];
  if (typeof id === "string" && id.length > 0 && id.length <= 512) return id;
  throw new Problem(422, "REJECTED", `${path}lease_id must be the lease_id that register answered`, {
    field: `${path}lease_id`,
  });
}

/** A lease of which only the name is known: enough to ask the registry about it. */
function bareLease(id: string): Lease {
  return {
    id,
    instance: undefined as unknown as ServiceInstance,
    ttlMs: 0,
    heartbeatMs: 0,
  };
}
