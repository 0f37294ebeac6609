// Figures with a real Eureka: node test/bench/eureka.mjs [http://127.0.0.1:8761] [notify|steady|killed]
// Start one with: bash test/registries/eureka.sh start --port 8761 --production-timing
import { once } from "node:events";
import { setTimeout as pass } from "node:timers/promises";
import { eureka } from "../../dist/adapters/eureka.js";
import { createResolver, defineInstance } from "../../dist/index.js";
import { killed } from "./registry-parts/killed.mjs";
import { originOr, run } from "./registry-parts/run.mjs";
import { steady } from "./registry-parts/steady.mjs";

const ROUNDS = 40;
const CACHE_MS = 30_000;
const origin = originOr("http://127.0.0.1:8761");
const registry = origin.replace("http:", "eureka:");

await run(origin, {
  notify,
  steady: () => steady(registry, ({ method, path }) => `${method} ${path.split("/").slice(2, 3)}`),
  killed: () => killed(registry, { "gone from Eureka": (status) => status === undefined }),
});

/** From a registration, at any moment of the caches' half minute, to a service's `changed`, with the default interval. */
async function notify() {
  const writer = eureka({ url: `${origin}/eureka` });
  const resolver = createResolver({ registry });
  const register = (service, port) => {
    const { signal } = new AbortController();
    return writer.register(defineInstance({ service, host: "127.0.0.1", port }), { ttlMs: 3_600_000, signal });
  };
  const told = async (round) => {
    const name = `notified-${process.pid}-${round}`;
    await register(name, 1_000);
    const service = resolver.service(name);
    await service.ready();
    await pass(Math.random() * CACHE_MS);
    const sent = performance.now();
    await register(name, 2_000);
    while (service.snapshot.instances.length < 2) await once(service, "changed");
    return performance.now() - sent;
  };
  const times = await Promise.all(Array.from({ length: ROUNDS }, (_, round) => told(round)));
  times.sort((a, b) => a - b);
  const seconds = (ms) => (ms / 1_000).toFixed(1);
  console.log(`notify: p50 ${seconds(times[ROUNDS / 2])} s, worst ${seconds(times.at(-1))} s of ${ROUNDS}`);
}
