import { randomInt } from "node:crypto";
import { DiscoveryError } from "../model/errors.js";
import { invalid, numberIn } from "../model/fields.js";
import { type DeclaredStatus, enlisted, type ServiceInstance } from "../model/instance.js";
import { polling } from "../registry/polling.js";
import { Recent } from "../registry/recent.js";
import type { Beat, Lease, Registry, Renewal } from "../registry/registry.js";
import { type Clock, type Random, systemClock, systemRandom } from "../runtime/clock.js";
import { durationMs, knownKeys } from "../runtime/options.js";
import { secretOption } from "../runtime/request-headers.js";
import { EurekaClient } from "./eureka-client.js";
import { type EurekaPages, PAGES, pagesIn } from "./eureka-pages.js";
import { EurekaReads } from "./eureka-reads.js";
import { DECLARED, durationOf, EUREKA_STATUS, idInPath, toEureka, ttlOf } from "./eureka-record.js";
import { inLanes } from "./lanes.js";

export type { EurekaPages } from "./eureka-pages.js";

/** Where Spring Cloud's server listens unless told otherwise. */
const LOCAL_EUREKA = "http://127.0.0.1:8761/eureka";
/** Eureka makes its lists anew every 30 s: with 10 s between two questions one knows 5 s later than it could, on average. */
const POLL_MS = { fallback: 10_000, min: 100, max: 3_600_000 } as const;
/** A lease is told in whole seconds; one above a day is none. */
const TTL_MS = { min: 1_000, max: 86_400_000 } as const;
const BEATS_PER_TTL = 3;
/** Eureka has no request for many heartbeats: so many are under way at once. */
const PARALLEL_BEATS = 16;
/** A life is a random number that JavaScript can hold exactly. */
const LIVES = 2 ** 48 - 1;
/** Leases whose declared status is remembered; one that is forgotten is told once more. */
const REMEMBERED = 10_000;

/** Where Eureka is, and how it is asked. */
export interface EurekaOptions extends EurekaPages {
  /** With the path, and the user and password if there are any. @default "http://127.0.0.1:8761/eureka" */
  readonly url?: string;
  /** Instead of `url`: the peers of a cluster. One is asked as long as it works, then the next. */
  readonly urls?: readonly string[];
  /** Sent as `Authorization: Bearer` where a URL has no user. @default none */
  readonly token?: string | undefined;
  /** Time between two questions about a service, in milliseconds, 100 to 3,600,000, give or take a tenth. @default 10_000 */
  readonly pollMs?: number;
  /** For tests. @default the real clock */
  readonly clock?: Clock;
  /** For tests. @default Math.random */
  readonly random?: Random;
}

/**
 * Eureka, Netflix's or Spring Cloud's, as a registry. It does not push: lists are polled, and are as old as its caches.
 * Instances of either kind find each other: ours by `vipAddress`, Spring's by application.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function eureka(options: EurekaOptions = {}): Registry {
  knownKeys("eureka", options, ["url", "urls", "token", "pollMs", ...PAGES, "clock", "random"]);
  const { url = LOCAL_EUREKA, urls, clock = systemClock, random = systemRandom } = options;
  const token = secretOption("eureka.token", options.token);
  if (options.url !== undefined && urls !== undefined) throw invalid("eureka.urls", urls, "given without eureka.url");
  const intervalMs = durationMs("eureka.pollMs", options.pollMs, POLL_MS.fallback, POLL_MS.min, POLL_MS.max);
  const pagesOf = pagesIn(options);
  const client = new EurekaClient(urls ? "eureka.urls" : "eureka.url", urls ?? [url], token, clock);
  const reads = new EurekaReads(client);
  const told = new Recent<DeclaredStatus>(REMEMBERED);

  /** Something done to a registered instance; false if Eureka does not know it. */
  async function tell(
    method: "PUT" | "DELETE",
    of: ServiceInstance,
    what: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    const path = `${pathOf(of)}${what}`;
    return (await client.request({ method, path, signal, accept: [404] })).status !== 404;
  }

  /** An order is what every client of Eureka heeds: posting another status would not end or begin a drain. */
  function order(instance: ServiceInstance, status: DeclaredStatus, signal: AbortSignal): Promise<boolean> {
    const method = status === "healthy" ? "DELETE" : "PUT"; // either renews the lease as well
    return tell(method, instance, `/status?value=${EUREKA_STATUS[status]}`, signal);
  }

  async function declare({ id, instance }: Lease, status: DeclaredStatus, signal: AbortSignal): Promise<void> {
    if ((told.get(id) ?? instance.status) === status) return;
    const mark = status === "healthy" ? "" : status; // left behind by a crash, it says whose order it was
    await tell("PUT", instance, `/metadata?${DECLARED}=${mark}`, signal);
    await order(instance, status, signal);
    told.set(id, status);
  }

  function post(instance: ServiceInstance, signal: AbortSignal): Promise<unknown> {
    const path = `apps/${instance.service.toUpperCase()}`;
    return client.request({ method: "POST", path, signal, body: { instance: toEureka(instance, pagesOf(instance)) } });
  }

  /** Why a beat was in vain; undefined if it was not. */
  async function beat({ lease, status }: Beat, signal: AbortSignal): Promise<string | undefined> {
    try {
      if (!(await tell("PUT", lease.instance, "", signal))) return "unknown";
      return void (status && (await declare(lease, status, signal)));
    } catch (error) {
      if (!DiscoveryError.is(error) || error.retryable) throw error;
      return error.message; // a refusal concerns this lease: the others must not miss their beat for it
    }
  }

  const asked: Registry = {
    name: client.name,
    capabilities: { watch: "none", lease: "heartbeat", reasons: false, epoch: false, absence: false, quietMs: 0 },
    list: (service, { since, signal }) => reads.list(service, since, signal),
    services: ({ signal }) => reads.services(signal),

    async register(instance, { ttlMs: wanted, signal }) {
      numberIn("ttlMs", wanted, TTL_MS.min, TTL_MS.max);
      const holder = await reads.holderOf(instance.id, signal);
      if (holder && !isAt(instance, holder)) {
        const where = `${holder.app} at ${holder.host} port ${holder.port}`;
        const text = `The id ${instance.id} is held by a live instance of ${where} in ${client.name}`;
        throw new DiscoveryError("ID_CONFLICT", text, { service: instance.service, field: "id" });
      }
      const ttlMs = ttlOf(durationOf(wanted));
      const incarnation = randomInt(1, LIVES);
      const life = enlisted(instance, { ttlMs, registeredAt: clock.wall(), incarnation });
      const status = life.status as DeclaredStatus;
      await post(life, signal);
      // what an earlier life ordered ends here, an operator's order does not; a lease once renewed lasts the whole ttl
      if (holder?.ordered && status === "healthy") await tell("PUT", life, "", signal);
      else await order(life, status, signal);
      const lease = { id: `${instance.id}:${incarnation}`, instance: life, ttlMs, replaced: holder !== undefined };
      told.set(lease.id, status);
      return { ...lease, heartbeatMs: ttlMs / BEATS_PER_TTL };
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
      if (!(await tell("PUT", lease.instance, "", signal))) {
        throw new DiscoveryError("LEASE_LOST", `${client.name} no longer knows ${instance.id}`);
      }
      const { registeredAt = clock.wall(), incarnation } = lease.instance;
      const life = enlisted(instance, { ttlMs: lease.ttlMs, registeredAt, incarnation });
      await post(life, signal);
      await declare(lease, life.status as DeclaredStatus, signal);
      return { ...lease, instance: life };
    },

    async deregister({ instance }, { signal }) {
      const holder = await reads.holderOf(instance.id, signal);
      if (holder && holder.life !== instance.incarnation) return {}; // its successor's
      await tell("DELETE", instance, "", signal); // lists may show it though its lease ran out
      return {};
    },

    close: () => client.close(),
  };
  const { watch, capabilities } = polling(asked, { intervalMs, clock, random });
  return { ...asked, watch, capabilities: { ...capabilities, quietMs: intervalMs * 2 + client.patienceMs } };
}

function pathOf({ service, id }: ServiceInstance): string {
  return `apps/${service.toUpperCase()}/${idInPath(id)}`;
}

function isAt({ service, host, port }: ServiceInstance, holder: { app: string; host: string; port: number }): boolean {
  return holder.app === service && holder.host === host && holder.port === port;
}

function isSameHolder(a: ServiceInstance, b: ServiceInstance): boolean {
  return a.id === b.id && isAt(a, { app: b.service, host: b.host, port: b.port });
}
