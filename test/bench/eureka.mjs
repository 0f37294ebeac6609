// Figures with a real Eureka: node test/bench/eureka.mjs [http://127.0.0.1:8761] [notify|steady|killed|bytes]
// Start one with: bash test/registries/eureka.sh start --port 8761 --production-timing
import { once } from "node:events";
import { get } from "node:http";
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
const url = `${origin}/eureka`;

await run(origin, {
  notify,
  steady: () => steady(registry, ({ method, path }) => `${method} ${path.split("/").slice(2, 3)}`),
  killed: () => killed(registry, { "gone from Eureka": (status) => status === undefined }),
  bytes,
});

/** From a registration, at any moment of the caches' half minute, to a service's `changed`, with the default interval. */
async function notify() {
  const writer = eureka({ url });
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

/**
 * What a minute costs that asks every 10 s about one of 100 applications of 5 instances: of it alone, or by the delta of
 * all, with the full list it begins with; in quiet, and while 50 instances are replaced each minute.
 */
async function bytes() {
  const writer = eureka({ url });
  const { signal } = new AbortController();
  const register = (app, port) =>
    writer.register(defineInstance({ service: `bytes-${app}`, host: "127.0.0.1", port }), { ttlMs: 3_600_000, signal });
  const held = [];
  for (let app = 0; app < 100; app++)
    for (let port = 1; port <= 5; port++) held.push({ app, port, lease: await register(app, port) });
  await pass(230_000); // until no delta tells of them any more, and all lists show them
  for (const [state, replaced] of Object.entries({ quiet: 0, "50 replaced a minute": 50 })) {
    const sums = { "one of 100": 0, delta: 0, "delta, gzip": 0 };
    const full = { plain: await size("apps"), gzip: await size("apps", "gzip") };
    for (let poll = 0; poll < 6; poll++) {
      for (let each = 0; each < replaced / 6; each++) {
        const gone = held.shift();
        await writer.deregister(gone.lease, { signal });
        held.push({ ...gone, lease: await register(gone.app, gone.port + 1_000) });
      }
      await pass(10_000);
      sums["one of 100"] += await size("apps/BYTES-7");
      sums.delta += await size("apps/delta");
      sums["delta, gzip"] += await size("apps/delta", "gzip");
    }
    console.log(`bytes in a minute, ${state}, 6 requests each:`, sums, "full list before a delta:", full);
  }
  for (const { lease } of held) await writer.deregister(lease, { signal });
  await writer.close();
}

/** Bytes of an answer's body as they come over the wire. */
function size(path, encoding = "identity") {
  const headers = { accept: "application/json", "accept-encoding": encoding };
  return new Promise((resolve, reject) => {
    const asked = get(`${url}/${path}`, { headers }, (answer) => {
      let length = 0;
      answer.on("data", (chunk) => (length += chunk.length)).on("end", () => resolve(length));
    });
    asked.on("error", reject);
  });
}
