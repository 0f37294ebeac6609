// Figures with a real Nacos: node test/bench/nacos.mjs [http://127.0.0.1:8848] [notify|steady|killed]
// Start one with: bash test/registries/nacos.sh start --port 8848
import { fork } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { setTimeout as pass } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { nacos } from "../../dist/adapters/nacos.js";
import { createAgent, createResolver } from "../../dist/index.js";

const [origin = "http://127.0.0.1:8848", only] = process.argv.slice(2);
const registry = origin.replace("http:", "nacos:");
const ROUNDS = 20;
setInterval(() => {}, 1_000); // what we wait for keeps no process alive
const parts = { notify, steady, killed };

for (const [name, part] of Object.entries(parts)) if (!only || only === name) await part();
process.exit();

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

/** Requests in one minute in which nothing changes: one agent, and one resolver that watches ten services. */
async function steady() {
  const counts = new Map();
  subscribe("undici:request:create", ({ request }) => {
    const kind = `${request.method} ${request.path.split("?")[0]}`;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  });
  const agent = createAgent({ registry, service: "steady-0", host: "127.0.0.1", port: 3_000 });
  await agent.start();
  const resolver = createResolver({ registry });
  for (let index = 0; index < 10; index++) resolver.service(`steady-${index}`).resume();
  await pass(5_000);
  counts.clear();
  await pass(60_000);
  console.log("requests in a minute, 1 agent, 1 resolver, 10 services:", Object.fromEntries(counts));
  await resolver.close();
  await agent.stop();
}

/** Until a SIGKILLed instance is no longer called: told by Nacos alone, and found out by a call. */
async function killed() {
  const resolver = createResolver({ registry });
  const orders = resolver.service("orders");
  const children = [await provider(), await provider()];
  const listed = async () => new Set((await orders.ready()).instances.map(({ id }) => id));
  for (let ids = await listed(); !children.every(({ id }) => ids.has(id)); ids = await listed()) await pass(50);
  const [victim] = children;
  const watch = nacos({ url: origin });
  const seen = async () => {
    const update = await watch.list("orders", { signal: new AbortController().signal });
    return update.type === "reset" ? update.instances.find(({ id }) => id === victim.id)?.status : undefined;
  };
  const ejected = once(orders, "ejected");
  const began = performance.now();
  const since = () => `${Math.round(performance.now() - began)} ms`;
  victim.child.kill("SIGKILL");
  let [calls, lost] = [0, 0];
  const calling = setInterval(() => {
    calls++;
    orders
      .fetch("/")
      .then((answer) => answer.text())
      .catch(() => lost++);
  }, 10);
  await ejected;
  console.log(`killed: ejected after ${since()} (100 calls/s)`);
  while ((await seen()) === "healthy") await pass(50);
  console.log(`killed: failed in Nacos after ${since()} (ttl 6 s)`);
  clearInterval(calling);
  console.log(`killed: ${lost} of ${calls} calls failed`);
  while (await seen()) await pass(100);
  console.log(`killed: removed after ${since()}`);
  for (const { child } of children) child.kill("SIGKILL");
  await watch.close();
  await resolver.close();
}

async function provider() {
  const child = fork(fileURLToPath(new URL("../chaos/provider-process.mjs", import.meta.url)), [
    JSON.stringify({ url: registry }),
  ]);
  const [{ id }] = await once(child, "message");
  return { child, id };
}
