import { randomInt } from "node:crypto";
import { DiscoveryError } from "../model/errors.js";
import { invalid, numberIn } from "../model/fields.js";
import { enlisted, hostPort, type ServiceInstance } from "../model/instance.js";
import { Recent } from "../registry/recent.js";
import type { Discovery, Lease, Registrar, Registry, Renewal } from "../registry/registry.js";
import { inLanes } from "./lanes.js";
import { NacosApi } from "./nacos-api.js";
import { NacosClient } from "./nacos-client.js";
import { NacosLease } from "./nacos-lease.js";
import { type NacosOptions, settingsOf } from "./nacos-options.js";
import { BEATS_PER_TTL } from "./nacos-record.js";
import { nacosSource } from "./nacos-source.js";

export type { NacosOptions } from "./nacos-options.js";

/** Nacos looks for late beats every 5 s; below a second any pause of garbage collection ends a lease. */
const TTL_MS = { min: 1_000, max: 86_400_000 } as const;
/** Nacos has no request for many heartbeats: so many are under way at once. */
const PARALLEL_BEATS = 16;
/** A life is a random number that JavaScript can hold exactly. */
const LIVES = 2 ** 48 - 1;
/** Leases of which this process knows more than they say. */
const REMEMBERED = 10_000;
/**
 * Nacos as a registry, over its HTTP APIs: v1, or v3 where that has ended. Changes are pushed where
 * `@grpc/grpc-js` is installed, and polled elsewhere; an instance lives by light beats, and is registered anew instead
 * after any doubt.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function nacos(options: NacosOptions = {}): Registry {
  const settings = settingsOf(options);
  const { name, scope, cluster, nameOf, clock } = settings;
  const client = new NacosClient(settings);
  const api = new NacosApi(client, scope, cluster);
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

  const registrar: Omit<Registrar, keyof Discovery> = {
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
      let heartbeatMs: number | undefined;
      await inLanes(beats, PARALLEL_BEATS, async ({ lease, status }) => {
        try {
          const { known, intervalMs = Number.POSITIVE_INFINITY } = await leaseOf(lease).beat(status, signal);
          if (!known) unknown.push({ lease, reason: "unknown" });
          else if (intervalMs < (heartbeatMs ?? lease.ttlMs)) heartbeatMs = intervalMs;
        } catch (error) {
          if (!isAboutOne(error)) throw error;
          unknown.push({ lease, reason: error.message }); // the others must not miss their beat for it
        }
      });
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
  return Object.assign(nacosSource(settings, client, api), registrar); // a copy would remember what it can do now
}

/** A refusal concerns one lease, an outage all of them. */
function isAboutOne(error: unknown): error is DiscoveryError {
  return DiscoveryError.is(error) && (!error.retryable || error.code === "LEASE_LOST");
}
