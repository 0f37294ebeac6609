import { describe, it } from "vitest";
import { http } from "../../src/adapters/http.js";
import { memoryRegistry } from "../../src/registry/memory.js";
import { createRegistryServer } from "../../src/server/index.js";
import { type ContractSubject, ManualClock, registryContract } from "../../src/testing/index.js";

describe("the registry contract, through memory", () => {
  for (const { name, run } of registryContract(inMemory)) it(name, run);
});

describe("the registry contract, through HTTP over real sockets", () => {
  for (const { name, run } of registryContract(overHttp)) it(name, run);
});

async function inMemory(): Promise<ContractSubject> {
  const clock = new ManualClock();
  const registry = memoryRegistry({ clock, warmingMs: 0 });
  return { registry, advance: (ms) => clock.advance(ms), close: () => registry.close() };
}

async function overHttp(): Promise<ContractSubject> {
  const clock = new ManualClock();
  const server = createRegistryServer({ port: 0, clock, warmingMs: 0 });
  const registry = http({ url: await server.listen() });
  const close = async (): Promise<void> => {
    await registry.close();
    await server.close();
  };
  return { registry, advance: (ms) => clock.advance(ms), close };
}
