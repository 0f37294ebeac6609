// Figures with a real Consul: node test/bench/consul.mjs [http://127.0.0.1:8500]
// Start one with: bash test/registries/consul.sh start --port 8500
import { fork } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { setTimeout as pass } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Pool } from "undici";
import { createAgent, createResolver } from "../../dist/index.js";

const [origin = "http://127.0.0.1:8500", only] = process.argv.slice(2);
const registry = origin.replace("http:", "consul:");
const ROUNDS = 100;
const parts = { notify, steady, killed };

for (const [name, part] of Object.entries(parts)) if (!only || only === name) await part();
process.exit();

/** From the PUT that registers to the news of it: a bare blocking query, and a service's `changed`, taken by turns. */
async function notify() {
  const pool = new Pool(origin);
  const heard = { raw: () => {}, ours: () => {} };
  const orders = createResolver({ registry }).service("notified");
  orders.on("changed", () => heard.ours());
  orders.resume();
  void (async () => {
    for (let index = "0"; ; ) {
      const path = `/v1/health/service/notified-raw?index=${index}&wait=30s`;
      const { headers, body } = await pool.request({ method: "GET", path });
      await body.json();
      if (index !== "0") heard.raw();
      index = headers["x-consul-index"];
    }
  })();
  await pass(1_000);
  const times = { raw: [], ours: [] };
  for (let round = 0; round < ROUNDS + 10; round++) {
    for (const [kind, name] of [
      ["raw", "notified-raw"],
      ["ours", "notified"],
    ]) {
      const news = new Promise((resolve) => {
        heard[kind] = () => resolve(performance.now());
      });
      const body = JSON.stringify({ ID: name, Name: name, Address: "127.0.0.1", Port: 1_000 + round });
      const sent = performance.now();
      const answer = await pool.request({ method: "PUT", path: "/v1/agent/service/register", body });
      await answer.body.dump();
      times[kind].push((await news) - sent);
      await pass(300);
    }
  }
  for (const [kind, all] of Object.entries(times)) {
    const sorted = all.slice(10).sort((a, b) => a - b);
    console.log(`notify, ${kind}: p50 ${sorted[ROUNDS / 2].toFixed(2)} ms, p95 ${sorted[ROUNDS * 0.95].toFixed(2)} ms`);
  }
}

/** Requests in one minute in which nothing changes: one agent, and one resolver that watches ten services. */
async function steady() {
  const counts = new Map();
  subscribe("undici:request:create", ({ request }) => {
    const kind = request.path.includes("index=") ? "blocking query" : request.path.split("/").slice(2, 4).join("/");
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

/** Until a SIGKILLed instance is no longer called: told by Consul alone, and found out by a call. */
async function killed() {
  const resolver = createResolver({ registry });
  const orders = resolver.service("orders");
  const children = [await provider(), await provider()];
  while ((await orders.ready()).instances.length < 2) await pass(50);
  const victim = children[0];
  const ejected = once(orders, "ejected");
  const failed = new Promise((resolve) => {
    orders.on("changed", ({ snapshot }) => {
      if (snapshot.instances.some(({ id, status }) => id === victim.id && status === "failed")) resolve();
    });
  });
  const began = performance.now();
  victim.child.kill("SIGKILL");
  let calls = 0;
  let lost = 0;
  const calling = setInterval(() => {
    calls++;
    orders
      .fetch("/")
      .then((answer) => answer.text())
      .catch(() => lost++);
  }, 10);
  await ejected;
  console.log(`killed: ejected after ${Math.round(performance.now() - began)} ms (100 calls/s)`);
  await failed;
  console.log(`killed: failed in Consul after ${Math.round(performance.now() - began)} ms (ttl 6 s)`);
  clearInterval(calling);
  console.log(`killed: ${lost} of ${calls} calls failed`);
  for (const { child } of children) child.kill("SIGKILL");
  await resolver.close();
}

async function provider() {
  const child = fork(fileURLToPath(new URL("../chaos/provider-process.mjs", import.meta.url)), [
    JSON.stringify({ url: registry }),
  ]);
  const [{ id }] = await once(child, "message");
  return { child, id };
}
