// Figures with a real Eureka: node test/bench/eureka.mjs [http://127.0.0.1:8761] [notify|steady|killed]
// Start one with: bash test/registries/eureka.sh start --port 8761 --production-timing
import { fork } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { setTimeout as pass } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { eureka } from "../../dist/adapters/eureka.js";
import { createAgent, createResolver, defineInstance } from "../../dist/index.js";

const [origin = "http://127.0.0.1:8761", only] = process.argv.slice(2);
const url = `${origin}/eureka`;
const ROUNDS = 40;
const parts = { notify, steady, killed };

setInterval(() => {}, 1_000); // what we wait for keeps no process alive
for (const [name, part] of Object.entries(parts)) if (!only || only === name) await part();
process.exit();

/** From a registration, at any moment of the caches' half minute, to a service's `changed`, with the default interval. */
async function notify() {
  const registry = eureka({ url });
  const resolver = createResolver({ registry });
  const register = (service, port) => {
    const { signal } = new AbortController();
    return registry.register(defineInstance({ service, host: "127.0.0.1", port }), { ttlMs: 3_600_000, signal });
  };
  const told = async (round) => {
    const name = `notified-${process.pid}-${round}`;
    await register(name, 1_000);
    const service = resolver.service(name);
    await service.ready();
    await pass(Math.random() * 30_000);
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

/** Requests in one minute in which nothing changes: one agent, and one resolver that watches ten services. */
async function steady() {
  const counts = new Map();
  subscribe("undici:request:create", ({ request }) => {
    const kind = `${request.method} ${request.path.split("/").slice(2, 3)}`;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  });
  const registry = eureka({ url });
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

/** How long a SIGKILLed instance is called, and how long it is listed. */
async function killed() {
  const registry = origin.replace("http:", "eureka:");
  const children = [await provider(registry), await provider(registry)];
  const resolver = createResolver({ registry });
  const orders = resolver.service("orders");
  orders.resume();
  while (orders.snapshot.instances.length < 2) await pass(50);
  const victim = children[0];
  const ejected = once(orders, "ejected");
  const began = performance.now();
  victim.child.kill("SIGKILL");
  const [calls, lost] = [[], []];
  const calling = setInterval(() => {
    const call = orders.fetch("/").then((answer) => answer.text());
    calls.push(call.catch((error) => lost.push(error)));
  }, 10);
  await ejected;
  console.log(`killed: ejected after ${Math.round(performance.now() - began)} ms (100 calls/s)`);
  while (orders.snapshot.instances.some(({ id }) => id === victim.id)) await pass(50);
  console.log(`killed: listed for ${Math.round((performance.now() - began) / 1_000)} s (ttl 6 s)`);
  clearInterval(calling);
  await Promise.all(calls);
  console.log(`killed: ${lost.length} of ${calls.length} calls failed`);
  for (const { child } of children) child.kill("SIGKILL");
  await resolver.close();
}

async function provider(registry) {
  const child = fork(fileURLToPath(new URL("../chaos/provider-process.mjs", import.meta.url)), [
    JSON.stringify({ url: registry }),
  ]);
  const [{ id }] = await once(child, "message");
  return { child, id };
}
