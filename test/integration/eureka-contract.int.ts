import { afterAll, beforeAll, describe, it } from "vitest";
import { eureka } from "../../src/adapters/eureka.js";
import { systemClock } from "../../src/runtime/clock.js";
import { type ContractSubject, registryContract } from "../../src/testing/index.js";
import { type FaultProxy, startFaultProxy } from "../fakes/fault-proxy.js";
import { type RunningRegistry, startRegistry, whyMissing } from "../registries/start.js";

const missing = await whyMissing("eureka.sh");

/** A real pause is this exact, in milliseconds, Eureka's run of evictions every second included. */
const PRECISION_MS = 900;
/** The server makes its lists anew every 200 ms; its own default is 30 s. */
const SETTLE_MS = 300;

let server: RunningRegistry;
let proxy: FaultProxy;
let cases = 0;

describe.skipIf(missing)("the registry contract, through a real Eureka", () => {
  beforeAll(async () => {
    server = await startRegistry("eureka.sh");
    proxy = await startFaultProxy(server.url);
  });
  afterAll(async () => {
    await proxy?.close();
    await server?.stop();
  });

  const contract = registryContract(onEureka, {
    reasons: false,
    epoch: false,
    absence: false,
    fencing: false,
    faults: ["restart", "spoil", "truncate", "silence", "forbid", "overload"],
  });
  for (const { name, run } of contract) it(name, run);
});

async function onEureka(): Promise<ContractSubject> {
  const registry = eureka({ url: `${proxy.url}/eureka`, pollMs: 100 });
  return {
    registry,
    service: `orders-${++cases}`,
    ttlMs: 4_000,
    precisionMs: PRECISION_MS,
    settleMs: SETTLE_MS,
    advance: (ms) => systemClock.sleep(ms),
    close: () => registry.close(),
    faults: {
      restart: async () => {
        await server.stop();
        server = await startRegistry("eureka.sh", ["--port", String(server.port)]);
      },
      spoil: async (service) => {
        const app = service.toUpperCase();
        const dataCenterInfo = { "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", name: "MyOwn" };
        const port = { $: 70_000, "@enabled": "true" }; // Eureka takes it
        const instance = {
          instanceId: `${service}-spoilt`,
          app,
          hostName: "h",
          ipAddr: "127.0.0.1",
          port,
          dataCenterInfo,
        };
        const headers = { "content-type": "application/json" };
        const body = JSON.stringify({ instance });
        await fetch(`${server.url}/eureka/apps/${app}`, { method: "POST", headers, body });
      },
      truncate: () => proxy.begin("truncate"),
      silence: () => proxy.begin("silence"),
      forbid: () => proxy.begin({ status: 403, text: "" }),
      overload: () => proxy.begin({ status: 429, text: "" }),
    },
  };
}
