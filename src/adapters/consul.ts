import { randomInt } from "node:crypto";
import { DiscoveryError } from "../model/errors.js";
import { invalid, label, numberIn } from "../model/fields.js";
import { type DeclaredStatus, enlisted, type ServiceInstance } from "../model/instance.js";
import { Recent } from "../registry/recent.js";
import type { Beat, Lease, Registry, Renewal } from "../registry/registry.js";
import { type Clock, systemClock } from "../runtime/clock.js";
import { durationMs, knownKeys } from "../runtime/options.js";
import { secretOption } from "../runtime/request-headers.js";
import { ConsulClient } from "./consul-client.js";
import { ConsulReads } from "./consul-reads.js";
import { checkIdOf, lifeIn, lifeOf, toConsul } from "./consul-record.js";
import { partIn } from "./consul-shared.js";
import { deadlineOf } from "./consul-watch.js";
import { inLanes } from "./lanes.js";

/** Where a local agent listens unless told otherwise. */
const LOCAL_AGENT = "http://127.0.0.1:8500";
/** Consul's own longest wait is ten minutes; below a second a watch is a poll. */
const WAIT_MS = { fallback: 30_000, min: 1_000, max: 600_000 } as const;
/** A check below a second is lost to any pause of garbage collection; above a day it is none. */
const TTL_MS = { min: 1_000, max: 86_400_000 } as const;
const BEATS_PER_TTL = 3;
/** Consul has no request for many heartbeats: so many are under way at once (4,200 a second were measured at 32). */
const PARALLEL_BEATS = 16;
/** A life is a random number that JavaScript can hold exactly. */
const LIVES = 2 ** 48 - 1;
/** Leases whose declared status is remembered; one that is forgotten is told once more. */
const REMEMBERED = 10_000;
/** What older and newer Consuls say of a check that they do not have. */
const NO_SUCH_CHECK = /does not have associated TTL|Unknown check/i;

/** Where Consul is, and how it is asked. */
export interface ConsulOptions {
  /** `http://host:port` of an agent, without path. @default "http://127.0.0.1:8500", the agent of this machine */
  readonly url?: string;
  /** An ACL token; sent as a header, never part of a URL or a message. @default none */
  readonly token?: string | undefined;
  /** Whose services are listed. Registrations always belong to the agent's own. @default the agent's own */
  readonly datacenter?: string | undefined;
  /** How long Consul holds a watch that has nothing to tell, in milliseconds, 1,000 to 600,000. @default 30_000 */
  readonly waitMs?: number;
  /** For tests. @default the real clock */
  readonly clock?: Clock;
}

/**
 * Consul as a registry. A change arrives by a blocking query, one per service and process, however many watch it and
 * through however many values, as long as these have the same options. Each value is closed on its own. An instance
 * lives by a TTL check that belongs to one life of it, so that whoever was replaced cannot renew or remove its successor.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function consul(options: ConsulOptions = {}): Registry {
  knownKeys("consul", options, ["url", "token", "datacenter", "waitMs", "clock"]);
  const { url = LOCAL_AGENT, clock = systemClock } = options;
  const token = secretOption("consul.token", options.token);
  const datacenter = label("consul.datacenter", options.datacenter);
  const waitMs = durationMs("consul.waitMs", options.waitMs, WAIT_MS.fallback, WAIT_MS.min, WAIT_MS.max);
  const origin = URL.canParse(url) ? new URL(url).origin : url;
  const target = { name: `Consul ${origin}`, origin, token, datacenter };
  const client = new ConsulClient(target);
  const part = partIn(target, clock, waitMs);
  const reads = new ConsulReads(client, part.history);
  const told = new Recent<DeclaredStatus>(REMEMBERED);

  /** What the agent holds under an id, and whether it lives. */
  async function holderOf(id: string, signal: AbortSignal): Promise<Holder | undefined> {
    const path = `health/service/id/${encodeURIComponent(id)}`;
    const { status, body } = await client.agent("GET", path, { signal, accept: [404, 429, 503] });
    const { Service: service, AggregatedStatus: health } = (body ?? {}) as HolderAnswer;
    if (service) return { ...service, life: lifeOf(service), alive: health !== "critical" };
    if (status === 404 || status === 200) return undefined;
    throw new DiscoveryError("OVERLOADED", `${client.name} answered GET /v1/agent/${path} with ${status}`);
  }

  /** Renews one life; false if Consul has no such check. */
  async function pass(leaseId: string, signal: AbortSignal): Promise<boolean> {
    const path = `check/pass/${encodeURIComponent(leaseId)}`;
    const { status, body } = await client.agent("PUT", path, { signal, accept: [404, 500] });
    if (status < 300) return true;
    if (status === 404 || NO_SUCH_CHECK.test(String(body))) return false;
    throw new DiscoveryError("UNAVAILABLE", `${client.name} answered PUT /v1/agent/${path} with ${status}: ${body}`);
  }

  /** Maintenance asks every reader of Consul, not only ours, for no new calls. */
  async function declare(lease: Lease, status: DeclaredStatus, signal: AbortSignal): Promise<void> {
    const before = told.get(lease.id) ?? lease.instance.status;
    if (before === status) return;
    const path = `service/maintenance/${encodeURIComponent(lease.instance.id)}`;
    if (before !== "healthy") await client.agent("PUT", path, { signal, query: { enable: "false" } });
    if (status !== "healthy") await client.agent("PUT", path, { signal, query: { enable: "true", reason: status } });
    told.set(lease.id, status);
  }

  /** Why a beat was in vain; undefined if it was not. */
  async function beat({ lease, status }: Beat, signal: AbortSignal): Promise<string | undefined> {
    try {
      if (await pass(lease.id, signal)) return void (status && (await declare(lease, status, signal)));
      const holder = await holderOf(lease.instance.id, signal);
      return holder?.life !== undefined && holder.life !== lifeIn(lease.id) ? "replaced" : "unknown";
    } catch (error) {
      if (!DiscoveryError.is(error) || error.retryable) throw error;
      return error.message; // a refusal concerns this lease: the others must not miss their beat for it
    }
  }

  return {
    name: client.name,
    host: URL.canParse(url) ? new URL(url).hostname : undefined,
    capabilities: {
      watch: "long-poll",
      lease: "heartbeat",
      reasons: false,
      epoch: false,
      absence: false,
      quietMs: deadlineOf(waitMs) + 2_000,
    },

    async list(service, { since, signal }) {
      const { update, position } = await reads.read(service, { signal });
      const isKnown = position !== undefined && since === position && update.type === "reset";
      return isKnown ? { type: "current", position } : update;
    },

    watch: (service, { since, signal }) => part.watch(service, since, signal),

    async services({ signal }) {
      const { body } = await client.catalog("catalog/services", { signal });
      const names = Object.keys((body ?? {}) as object).map((name) => name.toLowerCase());
      return [...new Set(names)].filter((name) => name !== "consul").sort(); // Consul lists itself
    },

    async register(instance, { ttlMs, signal }) {
      numberIn("ttlMs", ttlMs, TTL_MS.min, TTL_MS.max);
      const holder = await holderOf(instance.id, signal);
      if (holder?.alive && (holder.Address !== instance.host || holder.Port !== instance.port)) {
        const where = `${holder.Address} port ${holder.Port}`;
        const text = `The id ${instance.id} is held by a live instance at ${where} of ${client.name}`;
        throw new DiscoveryError("ID_CONFLICT", text, { service: instance.service, field: "id" });
      }
      const incarnation = randomInt(1, LIVES);
      const life = enlisted(instance, { ttlMs, registeredAt: clock.wall(), incarnation });
      const query = { "replace-existing-checks": "true" }; // among them the check of whoever held the id before
      await client.agent("PUT", "service/register", { signal, query, body: toConsul(life) });
      const id = checkIdOf(instance.id, incarnation);
      told.set(id, "healthy");
      const lease = { id, instance: life, ttlMs, heartbeatMs: ttlMs / BEATS_PER_TTL, replaced: holder !== undefined };
      await declare(lease, life.status as DeclaredStatus, signal);
      return lease;
    },

    async renew(beats, { signal }) {
      const unknown: Renewal["unknown"][number][] = [];
      await inLanes(beats, PARALLEL_BEATS, async (each) => {
        const reason = await beat(each, signal);
        if (reason !== undefined) unknown.push({ lease: each.lease, reason });
      });
      return { unknown };
    },

    async update(lease, instance, { signal }) {
      if (!isSameHolder(instance, lease.instance)) {
        throw invalid("update", instance.id, "of the same id, service, host and port as the registration");
      }
      if (!(await pass(lease.id, signal))) {
        throw new DiscoveryError("LEASE_LOST", `${client.name} no longer knows ${instance.id}`);
      }
      const { registeredAt = clock.wall() } = lease.instance;
      const life = enlisted(instance, { ttlMs: lease.ttlMs, registeredAt, incarnation: lifeIn(lease.id) });
      await client.agent("PUT", "service/register", { signal, body: toConsul(life) });
      await declare(lease, life.status as DeclaredStatus, signal);
      return { ...lease, instance: life };
    },

    async deregister(lease, { signal }) {
      const holder = await holderOf(lease.instance.id, signal);
      if (holder?.life !== lifeIn(lease.id)) return {};
      const path = `service/deregister/${encodeURIComponent(lease.instance.id)}`;
      await client.agent("PUT", path, { signal, accept: [404] });
      return {};
    },

    async close() {
      await Promise.all([client.close(), part.leave()]);
    },
  };
}

interface HolderAnswer {
  readonly AggregatedStatus?: unknown;
  readonly Service?: { readonly Address: string; readonly Port: number; readonly Meta?: unknown } | null;
}

interface Holder {
  readonly Address: string;
  readonly Port: number;
  readonly life: number | undefined;
  readonly alive: boolean;
}

function isSameHolder(a: ServiceInstance, b: ServiceInstance): boolean {
  return a.id === b.id && a.service === b.service && a.host === b.host && a.port === b.port;
}
