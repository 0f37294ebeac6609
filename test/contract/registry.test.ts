import { describe, it } from "vitest";
import { http } from "../../src/adapters/http.js";
import { memoryRegistry } from "../../src/registry/memory.js";
import { createRegistryServer } from "../../src/server/index.js";
import { type ContractSubject, ManualClock, registryContract } from "../../src/testing/index.js";
import { startFaultProxy } from "../fakes/fault-proxy.js";

describe("the registry contract, through memory", () => {
  for (const { name, run } of registryContract(inMemory)) it(name, run);
});

describe("the registry contract, through HTTP over real sockets", () => {
  const faults = ["restart", "truncate", "silence", "forbid", "overload"] as const;
  for (const { name, run } of registryContract(overHttp, { faults })) it(name, run);
});

async function inMemory(): Promise<ContractSubject> {
  const clock = new ManualClock();
  const registry = memoryRegistry({ clock, warmingMs: 0 });
  return { registry, advance: (ms) => clock.advance(ms), close: () => registry.close() };
}

async function overHttp(): Promise<ContractSubject> {
  const clock = new ManualClock();
  let server = createRegistryServer({ port: 0, clock, warmingMs: 0 });
  const proxy = await startFaultProxy(await server.listen());
  const registry = http({ url: proxy.url });
  const close = async (): Promise<void> => {
    await registry.close();
    await proxy.close();
    await server.close();
  };
  const restart = async (): Promise<void> => {
    await server.close();
    server = createRegistryServer({ port: 0, clock, warmingMs: 0 });
    proxy.target = await server.listen();
  };
  return {
    registry,
    advance: (ms) => clock.advance(ms),
    close,
    faults: {
      restart,
      truncate: () => proxy.begin("truncate"),
      silence: () => proxy.begin("silence"),
      forbid: () => proxy.begin({ status: 403, text: "forbidden" }),
      overload: () => proxy.begin({ status: 429, text: "too much" }),
    },
  };
}
