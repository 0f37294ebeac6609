import { afterAll, beforeAll, describe, it } from "vitest";
import { consul } from "../../src/adapters/consul.js";
import { systemClock } from "../../src/runtime/clock.js";
import { type ContractSubject, registryContract } from "../../src/testing/index.js";
import { type FaultProxy, startFaultProxy } from "../fakes/fault-proxy.js";
import { type RunningRegistry, startRegistry, whyMissing } from "../registries/start.js";

const missing = await whyMissing("consul.sh");

/** A real pause is this exact, in milliseconds, Consul's own delay of spreading a failure included. */
const PRECISION_MS = 700;

let server: RunningRegistry;
let proxy: FaultProxy;
let cases = 0;

describe.skipIf(missing)("the registry contract, through a real Consul", () => {
  beforeAll(async () => {
    server = await startRegistry("consul.sh");
    proxy = await startFaultProxy(server.url);
  });
  afterAll(async () => {
    await proxy?.close();
    await server?.stop();
  });

  const contract = registryContract(onConsul, {
    reasons: false,
    epoch: false,
    absence: false,
    endsLeases: false,
    faults: ["restart", "spoil", "truncate", "silence", "forbid", "overload"],
  });
  for (const { name, run } of contract) it(name, run);
});

async function onConsul(): Promise<ContractSubject> {
  const registry = consul({ url: proxy.url });
  return {
    registry,
    service: `orders-${++cases}`,
    ttlMs: 3_000,
    precisionMs: PRECISION_MS,
    advance: (ms) => systemClock.sleep(ms),
    close: () => registry.close(),
    faults: {
      restart: async () => {
        await server.stop();
        server = await startRegistry("consul.sh", ["--port", String(server.port)]);
      },
      spoil: async (service) => {
        const body = JSON.stringify({ ID: `${service}-spoilt`, Name: service, Port: 70_000 }); // Consul takes it
        await fetch(`${server.url}/v1/agent/service/register`, { method: "PUT", body });
      },
      truncate: () => proxy.begin("truncate"),
      silence: () => proxy.begin("silence"),
      forbid: () => proxy.begin({ status: 403, text: "Permission denied" }),
      overload: () => proxy.begin({ status: 429, text: "Your IP is issuing too many concurrent connections" }),
    },
  };
}
