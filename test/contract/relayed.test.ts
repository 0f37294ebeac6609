import { describe, it } from "vitest";
import { http } from "../../src/adapters/http.js";
import { createRegistryServer } from "../../src/server/index.js";
import { type ContractSubject, ManualClock, registryContract } from "../../src/testing/index.js";

describe("the registry contract, through a server in front of another server", () => {
  for (const { name, run } of registryContract(relayed)) it(name, run);
});

/** To the server in between, the other is what a user's own registry is: it finds no leases by their ids. */
async function relayed(): Promise<ContractSubject> {
  const clock = new ManualClock();
  const origin = createRegistryServer({ port: 0, clock, warmingMs: 0 });
  const between = http({ url: await origin.listen() });
  const relay = createRegistryServer({ port: 0, clock, registry: between });
  const registry = http({ url: await relay.listen() });
  const close = async (): Promise<void> => {
    await registry.close();
    await relay.close();
    await between.close();
    await origin.close();
  };
  return { registry, advance: (ms) => clock.advance(ms), close };
}
