import { DiscoveryError } from "../model/errors.js";
import { numberIn } from "../model/fields.js";
import { declaredStatus, type ServiceInstance } from "../model/instance.js";
import type { MemoryRegistry } from "../registry/memory-options.js";
import type { Beat, Lease, Registry } from "../registry/registry.js";
import { healthFromWire } from "../wire/health.js";
import { fromWire, toWire, type WireInstance } from "../wire/json.js";
import type { Fields } from "./body.js";
import type { HostCheck } from "./host-policy.js";
import { Leases } from "./leases.js";
import { type LeaveContext, leave } from "./leave.js";
import type { Prober } from "./prober.js";
import { Problem } from "./problem.js";
import type { Answer } from "./send.js";

/** The spec's default `ttl`, and the range of it, in seconds. */
const TTL_S = { fallback: 30, min: 3, max: 86_400 } as const;
/** Leases in one heartbeat. */
const MAX_BATCH = 1_000;
/** Those that are signed hold service, id and host. */
const MAX_LEASE_ID = 4_096;
/** The longest a deregistration is held for the consumers to take note, in milliseconds. */
const MAX_WAIT_MS = 60_000;
/** What names a holder is a secret: 16 characters are the least that cannot be guessed, 512 plenty. */
const MIN_SECRET = 16;
const MAX_SECRET = 512;
const REQUIRED = ["service_name", "host", "port"] as const;
const UPDATABLE = ["metadata", "tags", "weight", "zone", "version", "status"] as const;

/** What stands between a registration and the registry. */
export interface Gate {
  /** Signs the lease ids of a registry that servers share. */
  readonly leaseKey: string | undefined;
  readonly checkHost: HostCheck;
  /** Looks after instances that ask for it, where the registry takes note of that. */
  readonly prober: Prober | undefined;
}

/** What a heartbeat says, and the id it came under. */
interface AskedBeat extends Omit<Beat, "lease"> {
  readonly id: string;
}

/** A heartbeat and the id it came under; without a beat if no registry could know that. */
interface NamedBeat {
  readonly id: string;
  readonly beat: Beat | undefined;
}

/** What providers may ask of the server; each turns fields into calls of the registry. */
export class Registrations {
  readonly #registry: Registry & Partial<Pick<MemoryRegistry, "revision" | "warming">>;
  readonly #context: LeaveContext;
  readonly #leases: Leases;
  readonly #gate: Gate;

  constructor(context: LeaveContext, gate: Gate) {
    const { registry, clock } = context;
    this.#registry = registry;
    this.#context = context;
    this.#gate = gate;
    this.#leases = new Leases(registry, clock, gate.leaseKey);
  }

  /** @param peer the address it comes from */
  async register(fields: Fields, signal: AbortSignal, peer: string): Promise<Answer> {
    const { checkHost, prober } = this.#gate;
    const ttl = numberIn("ttl", fields["ttl"] ?? TTL_S.fallback, TTL_S.min, TTL_S.max);
    const instance = registration(fields);
    checkHost(instance.host, peer);
    const health = healthFromWire("health_check", fields["health_check"]);
    if (health) prober?.check("health_check", instance, health, peer);
    const ttlMs = ttl * 1_000;
    const [holder, edition] = [holderIn(fields), editionIn(fields)];
    const lease = await this.#registry.register(instance, { ttlMs, health, holder, edition, alone: true, signal });
    this.#leases.keep(lease);
    const probed = prober?.watch(lease, health, peer) ?? false;
    const { id, incarnation } = lease.instance;
    const name = this.#leases.nameOf(lease, signal);
    const body = {
      id,
      instance_id: id,
      lease_id: typeof name === "string" ? name : await name,
      ttl: lease.ttlMs / 1_000,
      heartbeat_interval: lease.heartbeatMs / 1_000,
      incarnation,
      epoch: lease.epoch,
      revision: this.#registry.revision ?? incarnation,
      warming: this.#registry.warming ?? false,
      probed: health && probed,
    };
    return { status: lease.replaced ? 200 : 201, body };
  }

  async heartbeat(fields: Fields, signal: AbortSignal): Promise<Answer> {
    const { leases } = fields;
    if (leases === undefined) return this.#single(fields, signal);
    if (!Array.isArray(leases) || leases.length > MAX_BATCH) {
      throw new Problem(422, "REJECTED", `leases must be an array of at most ${MAX_BATCH}`, { field: "leases" });
    }
    const asked = leases.map((each, index) => askedBeat(each, `leases[${index}].`));
    const beats = asked.map((each) => this.#found(each, signal));
    return { status: 200, body: await this.#renew(beats.every(isFound) ? beats : await Promise.all(beats), signal) };
  }

  /** A lease that is alone in its request is either renewed or not found. */
  async #single(fields: Fields, signal: AbortSignal): Promise<Answer> {
    const renewal = await this.#renew([await this.#found(askedBeat(fields, ""), signal)], signal);
    const [gone] = renewal.unknown;
    if (gone) throw unknownLease(gone.lease_id, gone.reason);
    return { status: 200, body: renewal };
  }

  async #renew(beats: readonly NamedBeat[], signal: AbortSignal) {
    const asked: Beat[] = [];
    for (const { beat } of beats) if (beat) asked.push(beat);
    const { unknown: gone, statuses, epoch, heartbeatMs } = await this.#registry.renew(asked, { signal });
    const lost = new Map(gone.map(({ lease, reason }) => [lease.id, reason ?? "unknown"]));
    for (const id of lost.keys()) this.#leases.forget(id);
    const renewed: { lease_id: string; status: string }[] = [];
    const unknown: { lease_id: string; reason: string }[] = [];
    let leastMs = Number.POSITIVE_INFINITY;
    for (const { id: lease_id, beat } of beats) {
      const lease = beat && !lost.has(beat.lease.id) ? this.#leases.renewed(beat.lease) : undefined;
      if (!lease) unknown.push({ lease_id, reason: (beat && lost.get(beat.lease.id)) ?? "unknown" });
      else {
        renewed.push({ lease_id, status: statuses?.get(lease.id) ?? lease.instance.status });
        leastMs = Math.min(leastMs, lease.heartbeatMs);
      }
    }
    const intervalMs = heartbeatMs ?? leastMs; // what suits the most impatient of them suits all
    const heartbeat_interval = Number.isFinite(intervalMs) ? intervalMs / 1_000 : undefined;
    return { renewed, unknown, heartbeat_interval, epoch, warming: this.#registry.warming ?? false };
  }

  async update(fields: Fields, signal: AbortSignal): Promise<Answer> {
    const id = leaseIdIn(fields, "");
    const lease = await this.#leases.find(id, signal);
    if (!lease) throw unknownLease(id, "unknown");
    const wire: Record<string, unknown> = { ...toWire(lease.instance) };
    for (const key of UPDATABLE) if (fields[key] !== undefined) wire[key] = fields[key];
    if (fields["status"] != null) declaredStatus("status", fields["status"]);
    const updated = await this.#registry.update(lease, fromWire(wire), { edition: editionIn(fields), signal });
    this.#leases.keep(updated);
    return { status: 200, body: toWire(updated.instance) };
  }

  /** @param asking aborts when whoever asked no longer waits for the answer */
  async deregister(fields: Fields, signal: AbortSignal, asking: AbortSignal): Promise<Answer> {
    const id = leaseIdIn(fields, "");
    const waitMs = numberIn("wait_ms", fields["wait_ms"] ?? 0, 0, MAX_WAIT_MS);
    const lease = await this.#leases.named(id, signal);
    const { acked = 0, waiting = 0 } = lease ? await leave(lease, this.#context, { waitMs, signal, asking }) : {};
    this.#leases.forget(id);
    return { status: 200, body: { acked, waiting } };
  }

  /** No promise where the lease is found at once: one for each of a thousand would cost more than their renewal. */
  #found({ id, status, load }: AskedBeat, signal: AbortSignal): NamedBeat | Promise<NamedBeat> {
    const beatOf = (lease: Lease | undefined): NamedBeat => ({ id, beat: lease && { lease, status, load } });
    const lease = this.#leases.named(id, signal);
    return lease instanceof Promise ? lease.then(beatOf) : beatOf(lease);
  }
}

/** What one beat says; all of a batch are read before any lease is looked up. */
function askedBeat(each: unknown, path: string): AskedBeat {
  const fields = typeof each === "object" && each !== null ? (each as Fields) : {};
  const id = leaseIdIn(fields, path);
  const status = fields["status"] == null ? undefined : declaredStatus(`${path}status`, fields["status"]);
  const load = fields["load"] == null ? undefined : numberIn(`${path}load`, fields["load"], 0, 1);
  return { id, status, load };
}

function isFound(beat: NamedBeat | Promise<NamedBeat>): beat is NamedBeat {
  return !(beat instanceof Promise);
}

/** The instance that asks to be registered, all of it checked. */
function registration(fields: Fields): ServiceInstance {
  for (const field of REQUIRED) {
    if (fields[field] === undefined) throw new DiscoveryError("INVALID_OPTION", `${field} is missing`, { field });
  }
  if (fields["status"] != null) declaredStatus("status", fields["status"]);
  const { id, node_id } = fields;
  const wire: WireInstance = id == null && node_id != null ? { ...fields, id: node_id } : fields;
  return fromWire(wire);
}

function holderIn({ holder }: Fields): string | undefined {
  if (holder == null) return undefined;
  if (typeof holder === "string" && holder.length >= MIN_SECRET && holder.length <= MAX_SECRET) return holder;
  const message = `holder must be a secret of ${MIN_SECRET} to ${MAX_SECRET} characters`;
  throw new Problem(422, "REJECTED", message, { field: "holder" });
}

function editionIn({ edition }: Fields): number | undefined {
  return edition == null ? undefined : numberIn("edition", edition, 0, Number.MAX_SAFE_INTEGER, true);
}

function leaseIdIn(fields: Fields, path: string): string {
  const id = fields["lease_id"];
  if (typeof id === "string" && id.length > 0 && id.length <= MAX_LEASE_ID) return id;
  const field = `${path}lease_id`;
  throw new Problem(422, "REJECTED", `${field} must be the lease_id that register answered`, { field });
}

function unknownLease(id: string, reason: string): Problem {
  const detail = `No live lease ${id.slice(0, 4)}…: ${reason}. Register again.`;
  return new Problem(404, "LEASE_UNKNOWN", detail, { reason });
}
