// Figures with a real Nacos: node test/bench/nacos.mjs [http://127.0.0.1:8848] [notify|steady|killed]
// Start one with: bash test/registries/nacos.sh start --port 8848
import { once } from "node:events";
import { setTimeout as pass } from "node:timers/promises";
import { nacos } from "../../dist/adapters/nacos.js";
import { createResolver } from "../../dist/index.js";
import { killed } from "./registry-parts/killed.mjs";
import { originOr, run } from "./registry-parts/run.mjs";
import { steady } from "./registry-parts/steady.mjs";

const ROUNDS = 20;
const origin = originOr("http://127.0.0.1:8848");
const registry = origin.replace("http:", "nacos:");

await run(origin, {
  notify,
  steady: () => steady(registry, ({ method, path }) => `${method} ${path.split("?")[0]}`),
  killed: () => {
    const stages = {
      "failed in Nacos": (status) => status !== "healthy",
      "removed from Nacos": (status) => status === undefined,
    };
    return killed(registry, stages);
  },
});

/** From the POST that registers to `changed`, pushed and polled as by default, and to a list asked for every 10 ms. */
async function notify() {
  const kinds = ["pushed", "polled"];
  const registries = kinds.map((kind) => nacos({ url: origin, push: kind === "pushed" }));
  const resolvers = registries.map((each) => createResolver({ registry: each }));
  const services = resolvers.map((resolver) => resolver.service("notified"));
  for (const service of services) service.resume();
  await pass(3_000); // connected, and pushed to once
  const times = { pushed: [], polled: [], list: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const port = 1_000 + round;
    const sent = performance.now();
    const has = ({ instances }) => instances.some((each) => each.port === port);
    const heard = services.map(async (service, index) => {
      while (!has(service.snapshot)) await once(service, "changed");
      times[kinds[index]].push(performance.now() - sent);
    });
    const body = new URLSearchParams({ serviceName: "notified", ip: "127.0.0.1", port: String(port) });
    await fetch(`${origin}/nacos/v1/ns/instance`, { method: "POST", body });
    const listed = async () => {
      const answer = await fetch(`${origin}/nacos/v1/ns/instance/list?serviceName=notified`);
      return (await answer.text()).includes(`"port":${port},`);
    };
    while (!(await listed())) await pass(10);
    times.list.push(performance.now() - sent);
    await Promise.all(heard);
    await pass(1_000 * Math.random());
  }
  for (const [kind, all] of Object.entries(times)) {
    const sorted = all.sort((a, b) => a - b).map(Math.round);
    console.log(`notify, ${kind}: p50 ${sorted[ROUNDS / 2]} ms, most ${sorted[ROUNDS - 1]} ms`);
  }
  for (const each of [...resolvers, ...registries]) await each.close();
}
