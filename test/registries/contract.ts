import { afterAll, beforeAll, it } from "vitest";
import type { Registry } from "../../src/registry/registry.js";
import { systemClock } from "../../src/runtime/clock.js";
import { type ContractNeeds, type ContractSubject, registryContract } from "../../src/testing/index.js";
import { type Fault, type FaultProxy, startFaultProxy } from "../fakes/fault-proxy.js";
import type { RunningRegistry } from "./start.js";

/** What time is like with a real server. */
export type RealTimes = Pick<ContractSubject, "ttlMs" | "precisionMs" | "settleMs">;

/** How one real registry goes through the contract. */
export interface RealRegistry {
  /** What it can do, apart from faults. */
  readonly has: ContractNeeds;
  readonly times: RealTimes;
  /** Starts the server, empty: on a free port if it is 0. */
  start(port: number): Promise<RunningRegistry>;
  /** Our adapter, for a proxy at `url` before that server. */
  adapter(url: string, server: RunningRegistry): Registry;
  /** Writes a record of the service which the server takes, and which cannot be read. */
  spoil(url: string, service: string): Promise<unknown>;
  /** How the server refuses for want of rights, and because it is too much. */
  readonly refusals: Readonly<Record<"forbid" | "overload", Exclude<Fault, string>>>;
}

/** The cases of the contract through a real server, behind a proxy that breaks what a case asks for; within a `describe`. */
export function contractOn({ has, times, start, adapter, spoil, refusals }: RealRegistry): void {
  let server: RunningRegistry;
  let proxy: FaultProxy;
  let cases = 0;

  beforeAll(async () => {
    server = await start(0);
    proxy = await startFaultProxy(server.url);
  });
  afterAll(async () => {
    await proxy?.close();
    await server?.stop();
  });

  const make = async (): Promise<ContractSubject> => ({
    ...inRealTime(adapter(proxy.url, server), `orders-${++cases}`, times),
    faults: {
      restart: async () => {
        await server.stop();
        server = await start(server.port);
      },
      spoil: async (service) => void (await spoil(server.url, service)),
      truncate: () => proxy.begin("truncate"),
      silence: () => proxy.begin("silence"),
      forbid: () => proxy.begin(refusals.forbid),
      overload: () => proxy.begin(refusals.overload),
    },
  });
  const faults = ["restart", "spoil", "truncate", "silence", "forbid", "overload"] as const;
  for (const { name, run } of registryContract(make, { ...has, faults })) it(name, run);
}

/** A registry whose time can only be waited for. */
export function inRealTime(registry: Registry, service: string, times: RealTimes): ContractSubject {
  return { registry, service, ...times, advance: (ms) => systemClock.sleep(ms), close: () => registry.close() };
}
