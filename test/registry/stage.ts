import {
  type DeclaredStatus,
  defineInstance,
  type InstanceInput,
  type Lease,
  memoryRegistry,
} from "../../src/index.js";
import type { MemoryRegistryOptions } from "../../src/registry/memory-options.js";
import { ManualClock } from "../../src/testing/index.js";

export const { signal } = new AbortController();

/** A memory registry on a clock of its own, and short words for what its users do. */
export function stage(options: Partial<MemoryRegistryOptions> = {}, clock = new ManualClock()) {
  const registry = memoryRegistry({ clock, warmingMs: 0, ...options });
  return {
    clock,
    registry,
    register: (port: number, fields: Partial<InstanceInput> & { ttlMs?: number } = {}): Promise<Lease> => {
      const { ttlMs = 30_000, ...rest } = fields;
      return registry.register(defineInstance({ service: "orders", host: "127.0.0.1", port, ...rest }), {
        ttlMs,
        signal,
      });
    },
    beat: (lease: Lease, status?: DeclaredStatus) => registry.renew([{ lease, status }]),
    /** Lets time pass in which these leases beat every ten seconds, the last time at its end. */
    beating: async (leases: readonly Lease[], ms: number): Promise<void> => {
      for (let left = ms; left > 0; left -= 10_000) {
        await clock.advance(Math.min(10_000, left));
        await registry.renew(leases.map((lease) => ({ lease })));
      }
    },
    statuses: async (service = "orders"): Promise<string[]> => {
      const update = await registry.list(service);
      return update.type === "reset" ? update.instances.map(({ status }) => status) : [];
    },
    ports: async (service = "orders"): Promise<number[]> => {
      const update = await registry.list(service);
      return update.type === "reset" ? update.instances.map(({ port }) => port) : [];
    },
  };
}

/** Everything a registry tells from now on, in order, as `event: id and more`. */
export function diary(registry: ReturnType<typeof stage>["registry"]): string[] {
  const told: string[] = [];
  registry.on("failed", ({ instance, reason, left }) => told.push(`failed ${instance.port} ${reason}, ${left} left`));
  registry.on("recovered", ({ instance, from }) => told.push(`recovered ${instance.port} from ${from}`));
  registry.on("unstable", ({ instance, why }) => told.push(`unstable ${instance.port} by ${why}`));
  registry.on("preserved", ({ service, suspects, listed }) => told.push(`preserved ${suspects}/${listed} ${service}`));
  registry.on("released", ({ service, returned, gone }) => told.push(`released ${service} +${returned} -${gone}`));
  return told;
}
