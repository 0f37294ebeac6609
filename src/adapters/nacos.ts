import { createHash, randomInt } from "node:crypto";
import { DiscoveryError } from "../model/errors.js";
import { invalid, label, numberIn } from "../model/fields.js";
import { enlisted, hostPort, type ServiceInstance } from "../model/instance.js";
import type { RegistryUpdate } from "../model/update.js";
import { polling } from "../registry/polling.js";
import { Recent } from "../registry/recent.js";
import type { Discovery, Lease, Registry, Renewal } from "../registry/registry.js";
import { type Clock, systemClock } from "../runtime/clock.js";
import { durationMs, functionOr, knownKeys } from "../runtime/options.js";
import { NacosApi } from "./nacos-api.js";
import { NacosClient } from "./nacos-client.js";
import { NacosLease } from "./nacos-lease.js";
import type { NacosAccount } from "./nacos-login.js";
import { BEATS_PER_TTL, DEFAULT_CLUSTER, fromNacos } from "./nacos-record.js";

/** Where a local server listens unless told otherwise. */
const LOCAL_SERVER = "http://127.0.0.1:8848";
/** Nacos' own names for what nobody named. */
const DEFAULTS = { namespace: "public", group: "DEFAULT_GROUP", contextPath: "/nacos" } as const;
/** Lists lag behind by half a second: below it a poll hears nothing sooner. Three seconds cost less than a beat does. */
const INTERVAL_MS = { fallback: 3_000, min: 100, max: 600_000 } as const;
/** Nacos looks for late beats every 5 s; below a second any pause of garbage collection ends a lease. */
const TTL_MS = { min: 1_000, max: 86_400_000 } as const;
/** Nacos has no request for many heartbeats: so many are under way at once. */
const PARALLEL_BEATS = 16;
/** A life is a random number that JavaScript can hold exactly. */
const LIVES = 2 ** 48 - 1;
/** Leases of which this process knows more than they say. */
const REMEMBERED = 10_000;
const CLUSTER = /^[0-9A-Za-z-]{1,64}$/;

/** Where Nacos is, and how it is asked. */
export interface NacosOptions {
  /** `http://host:port` of a server, or of what stands before several, without path. @default "http://127.0.0.1:8848" */
  readonly url?: string;
  /** Logs in with it; sent nowhere but there. @default none: nobody logs in */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** The namespace's id, not its name: Nacos takes any text for an id. @default "public" */
  readonly namespace?: string | undefined;
  /** @default "DEFAULT_GROUP" */
  readonly group?: string | undefined;
  /** The cluster instances are registered in: 0–9 A–Z a–z and -. Every cluster is listed. @default "DEFAULT" */
  readonly cluster?: string | undefined;
  /** What `server.servlet.contextPath` says, or a proxy. @default "/nacos" */
  readonly contextPath?: string;
  /** How a service is called in Nacos, whose names have a case and may hold more. @default its name here, in lower case */
  readonly serviceName?: (service: string) => string;
  /** Time between two lists of a service that is watched, in milliseconds, 100 to 600,000. @default 3_000 */
  readonly intervalMs?: number;
  /** For tests. @default the real clock */
  readonly clock?: Clock;
}

const OPTIONS = "url username password namespace group cluster contextPath serviceName intervalMs clock".split(" ");

/**
 * Nacos as a registry, over its HTTP APIs: v3, or v1 where that is not there. It is polled; an instance lives by light
 * beats, and is registered anew instead after any doubt.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function nacos(options: NacosOptions = {}): Registry {
  knownKeys("nacos", options, OPTIONS);
  const { url = LOCAL_SERVER, contextPath = DEFAULTS.contextPath, clock = systemClock } = options;
  const namespaceId = label("nacos.namespace", options.namespace) ?? DEFAULTS.namespace;
  const groupName = label("nacos.group", options.group) ?? DEFAULTS.group;
  const { cluster = DEFAULT_CLUSTER } = options;
  if (!CLUSTER.test(cluster)) throw invalid("nacos.cluster", cluster, "1–64 of 0–9 A–Z a–z -");
  if (!/^(\/[^/?#\s]+)*$/.test(contextPath)) throw invalid("nacos.contextPath", contextPath, 'a path such as "/nacos"');
  const intervalMs = durationMs(
    "nacos.intervalMs",
    options.intervalMs,
    INTERVAL_MS.fallback,
    INTERVAL_MS.min,
    INTERVAL_MS.max,
  );
  const nameOf = functionOr("nacos.serviceName", options.serviceName, (service: string) => service);
  const origin = URL.canParse(url) ? new URL(url).origin : url;
  const name = `Nacos ${origin}${namespaceId === DEFAULTS.namespace ? "" : `, namespace ${namespaceId}`}`;
  const client = new NacosClient({ name, origin, contextPath, account: accountIn(options), clock });
  const api = new NacosApi(client, { namespaceId, groupName });
  const place = { api, clock, nameOf, cluster };
  const leases = new Recent<NacosLease>(REMEMBERED);
  const holders = new Recent<NacosLease>(REMEMBERED);

  /** Another process may have registered it. */
  function leaseOf({ id, instance, ttlMs }: Lease): NacosLease {
    const known = leases.get(id);
    if (known) return known;
    const lease = new NacosLease(place, instance, ttlMs);
    leases.set(id, lease);
    return lease;
  }

  /** What Nacos tells instances apart by. */
  function addressOf({ service, host, port }: ServiceInstance): string {
    return `${service}@${hostPort(host, port)}`;
  }

  const source: Discovery = {
    name,
    capabilities: { watch: "poll", lease: "heartbeat", reasons: false, epoch: false, absence: false, quietMs: 0 },

    async list(service, { since, signal }) {
      const named = nameOf(service);
      const hosts = await api.list(named, signal);
      return toldOf(fromNacos(service, `${groupName}@@${named}`, hosts), since);
    },

    async services({ signal }) {
      const names = (await api.services(signal)).map((each) => each.toLowerCase());
      return [...new Set(names)].sort();
    },

    close: () => client.close(),
  };

  return {
    ...polling(source, { intervalMs, clock }),
    host: URL.canParse(url) ? new URL(url).hostname : undefined,

    async register(instance, { ttlMs, signal }) {
      numberIn("ttlMs", ttlMs, TTL_MS.min, TTL_MS.max);
      const incarnation = randomInt(1, LIVES);
      const life = enlisted(instance, { ttlMs, registeredAt: clock.wall(), incarnation });
      const lease = new NacosLease(place, life, ttlMs);
      await lease.publish(life, signal);
      const id = `${instance.id}:${incarnation}`;
      leases.set(id, lease);
      holders.get(addressOf(instance))?.giveWay();
      holders.set(addressOf(instance), lease);
      return { id, instance: life, ttlMs, heartbeatMs: ttlMs / BEATS_PER_TTL };
    },

    async renew(beats, { signal }) {
      const unknown: Renewal["unknown"][number][] = [];
      const waiting = beats.values();
      let heartbeatMs: number | undefined;
      const work = async (): Promise<void> => {
        for (const { lease, status } of waiting) {
          try {
            const { known, intervalMs = Number.POSITIVE_INFINITY } = await leaseOf(lease).beat(status, signal);
            if (!known) unknown.push({ lease, reason: "unknown" });
            else if (intervalMs < (heartbeatMs ?? lease.ttlMs)) heartbeatMs = intervalMs;
          } catch (error) {
            if (!isAboutOne(error)) throw error;
            unknown.push({ lease, reason: error.message }); // the others must not miss their beat for it
          }
        }
      };
      const ended = await Promise.allSettled(Array.from({ length: Math.min(PARALLEL_BEATS, beats.length) }, work));
      for (const each of ended) if (each.status === "rejected") throw each.reason;
      return { unknown, heartbeatMs };
    },

    async update(lease, instance, { signal }) {
      const { id, registeredAt = clock.wall(), incarnation } = lease.instance;
      if (instance.id !== id || addressOf(instance) !== addressOf(lease.instance)) {
        throw invalid("update", instance.id, "of the same id, service, host and port as the registration");
      }
      if (!(await leaseOf(lease).touch(signal)).known) {
        throw new DiscoveryError("LEASE_LOST", `${name} no longer knows ${id}`);
      }
      const life = enlisted(instance, { ttlMs: lease.ttlMs, registeredAt, incarnation });
      await leaseOf(lease).publish(life, signal);
      return { ...lease, instance: life };
    },

    async deregister(lease, { signal }) {
      await leaseOf(lease).end(signal);
      return {};
    },
  };
}

function accountIn({ username, password = "" }: NacosOptions): NacosAccount | undefined {
  if (username === undefined && password === "") return undefined;
  if (typeof username !== "string" || username === "")
    throw invalid("nacos.username", username, "a name to log in with");
  if (typeof password !== "string") throw invalid("nacos.password", typeof password, "a string");
  return { username, password };
}

/** A refusal concerns one lease, an outage all of them. */
function isAboutOne(error: unknown): error is DiscoveryError {
  return DiscoveryError.is(error) && (!error.retryable || error.code === "LEASE_LOST");
}

/** Nacos counts no versions: what a list says is its position. Without instances a service does not exist to it. */
function toldOf({ instances, invalid }: ReturnType<typeof fromNacos>, since: string | undefined): RegistryUpdate {
  if (instances.length === 0 && invalid === 0) return { type: "absent" };
  const position = createHash("sha256")
    .update(JSON.stringify([instances, invalid]))
    .digest("base64url");
  return position === since ? { type: "current", position } : { type: "reset", instances, invalid, position };
}
