import { afterAll, beforeAll, describe, it } from "vitest";
import { nacos } from "../../src/adapters/nacos.js";
import { systemClock } from "../../src/runtime/clock.js";
import { type ContractSubject, registryContract } from "../../src/testing/index.js";
import { type FaultProxy, startFaultProxy } from "../fakes/fault-proxy.js";
import { nacosVersions } from "../registries/nacos.js";
import { type RunningRegistry, whyMissing } from "../registries/start.js";

const missing = await whyMissing("nacos.sh");

/** Nacos looks for late beats every five seconds, and v3 takes five more. */
const PRECISION_MS = { "2.3.2": 6_000, "3.x": 11_000 };
/** Changes are merged for half a second before a list shows them (the most that was measured: 646 ms). */
const LAG_MS = 800;

let server: RunningRegistry;
let proxy: FaultProxy;
let cases = 0;

const subjects = nacosVersions().flatMap((version) => [true, false].map((push) => ({ ...version, push })));
for (const { name, start, push } of subjects) {
  describe.skipIf(missing)(`the registry contract, through a real Nacos ${name}, ${push ? "pushed" : "polled"}`, () => {
    beforeAll(async () => {
      server = await start();
      proxy = await startFaultProxy(server.url);
    });
    afterAll(async () => {
      await proxy?.close();
      await server?.stop();
    });

    const contract = registryContract(onNacos, {
      reasons: false,
      epoch: false,
      absence: false,
      fencing: false,
      conflicts: false,
      room: false,
      faults: ["restart", "spoil", "truncate", "silence", "forbid", "overload"],
    });
    for (const each of contract) it(each.name, each.run);

    async function onNacos(): Promise<ContractSubject> {
      const registry = nacos({ url: proxy.url, grpcPort: server.port + 1_000, intervalMs: 200, push });
      const precisionMs = PRECISION_MS[name as keyof typeof PRECISION_MS];
      return {
        registry,
        service: `orders-${++cases}`,
        ttlMs: precisionMs + 3_000,
        precisionMs,
        settleMs: LAG_MS,
        advance: (ms) => systemClock.sleep(ms),
        close: () => registry.close(),
        faults: {
          restart: async () => {
            await server.stop();
            server = await start(server.port);
          },
          spoil: async (serviceName) => {
            const body = new URLSearchParams({ serviceName, ip: "127.0.0.1", port: "0" }); // Nacos takes it
            await fetch(`${server.url}/nacos/v1/ns/instance`, { method: "POST", body });
          },
          truncate: () => proxy.begin("truncate"),
          silence: () => proxy.begin("silence"),
          forbid: () => proxy.begin({ status: 403, text: "authorization failed!" }),
          overload: () => proxy.begin({ status: 503, text: "Tps Flow restricted:over limit" }),
        },
      };
    }
  });
}
