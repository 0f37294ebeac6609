// Figures with a real etcd: node test/bench/etcd.mjs [http://127.0.0.1:2379] [part]
// Start one with: bash test/registries/etcd.sh start --port 2379

import { fork } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { setTimeout as pass } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Pool } from "undici";
import { etcd } from "../../dist/adapters/etcd.js";
import { createAgent, createResolver, http } from "../../dist/index.js";

const [origin = "http://127.0.0.1:2379", only] = process.argv.slice(2);
const registry = origin.replace("http:", "etcd:");
const JSON_TYPE = { "content-type": "application/json" };
const ROUNDS = 100;
const REGISTRATIONS = 3_000;
const IN_FLIGHT = 64;
const parts = { notify, throughput, cluster, steady, killed };

setInterval(() => {}, 1_000); // ours keeps no process alive

for (const [name, part] of Object.entries(parts)) if (!only || only === name) await part();
process.exit();

function base64(text) {
  return Buffer.from(text).toString("base64");
}

async function post(pool, path, body) {
  const answer = await pool.request({ method: "POST", path, headers: JSON_TYPE, body: JSON.stringify(body) });
  const told = await answer.body.json();
  if (answer.statusCode >= 300) throw new Error(JSON.stringify(told));
  return told;
}

/** From the put to the news of it: a bare watch, and a service's `changed`, taken by turns. */
async function notify() {
  const pool = new Pool(origin);
  const writer = etcd({ endpoints: origin });
  const heard = { raw: () => {}, ours: () => {} };
  const service = createResolver({ registry }).service("notified");
  service.on("changed", () => heard.ours());
  service.resume();
  const { signal } = new AbortController();
  const instance = {
    id: "n1",
    service: "notified",
    host: "127.0.0.1",
    port: 1,
    protocol: "http",
    weight: 1,
    tags: [],
    metadata: {},
  };
  const lease = await writer.register({ ...instance, status: "healthy" }, { ttlMs: 60_000, signal });
  const prefix = "/mcp-discovery/services/notified/";
  const create_request = { key: base64(prefix), range_end: base64(`${prefix.slice(0, -1)}0`) };
  const { body } = await pool.request({ method: "POST", path: "/v3/watch", body: JSON.stringify({ create_request }) });
  body.on("data", (chunk) => {
    for (const line of String(chunk).split("\n")) if (line !== "" && JSON.parse(line).result.events) heard.raw();
  });
  await pass(1_000);
  const key = base64(`${prefix}instances/n1/${lease.id.split("/")[2]}`);
  const value = (weight) =>
    base64(
      JSON.stringify({ id: "n1", service_name: "notified", host: "127.0.0.1", port: 1, weight, status: "healthy" }),
    );
  const times = { raw: [], ours: [] };
  for (let round = 0; round < ROUNDS + 10; round++) {
    for (const kind of ["raw", "ours"]) {
      const news = new Promise((resolve) => {
        heard[kind] = () => resolve(performance.now());
      });
      const sent = performance.now();
      void post(pool, "/v3/kv/put", {
        key,
        value: value(1 + ((round * 2 + (kind === "raw" ? 0 : 1)) % 900)),
        lease: lease.id.split("/")[1],
      });
      times[kind].push((await news) - sent);
      await pass(30);
    }
  }
  for (const [kind, all] of Object.entries(times)) {
    const sorted = all.slice(10).sort((a, b) => a - b);
    console.log(`notify, ${kind}: p50 ${sorted[ROUNDS / 2].toFixed(2)} ms, p95 ${sorted[ROUNDS * 0.95].toFixed(2)} ms`);
  }
}

/** Registrations a second: a bare grant and put, and through one of our servers on that etcd, by turns. */
async function throughput() {
  const { child, url } = await server();
  const [raw, ours] = [new Pool(origin, { connections: IN_FLIGHT }), new Pool(url, { connections: IN_FLIGHT })];
  const rates = { raw: [], ours: [] };
  for (let round = 0; round < 5; round++) {
    rates.raw.push(
      await rateOf(async (index) => {
        const { ID: lease } = await post(raw, "/v3/lease/grant", { TTL: "60" });
        const value = base64(JSON.stringify({ id: `r${index}`, service_name: "raw", host: "10.0.0.1", port: 1_000 }));
        await post(raw, "/v3/kv/put", { key: base64(`/raw/${round}/${index}`), value, lease });
      }),
    );
    rates.ours.push(
      await rateOf((index) =>
        post(ours, "/v1/register", {
          id: `${process.pid}-${round}-${index}`, // one that an earlier run has left would be taken over
          service_name: `t${index % 50}`,
          host: "10.0.0.1",
          port: 1_000,
          ttl: 60,
        }),
      ),
    );
  }
  child.kill();
  const [bare, through] = [rates.raw, rates.ours].map((all) => all.sort((a, b) => a - b)[2]);
  console.log(
    `registrations: raw ${bare.toFixed(0)}/s, through our server ${through.toFixed(0)}/s, ${(through / bare).toFixed(2)}`,
  );
}

async function rateOf(register) {
  let next = 0;
  const began = performance.now();
  const work = async () => {
    while (next < REGISTRATIONS) await register(next++);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, work));
  return REGISTRATIONS / ((performance.now() - began) / 1_000);
}

/**
 * Two of our servers: from a registration at one to the news of it at the other; then one is SIGKILLed, and a resolver
 * that had it is told of the next registration by the other.
 */
async function cluster() {
  const nodes = [await server(), await server()];
  const [first, second] = nodes.map(({ url }) => http({ url }));
  const both = createResolver({ registry: `${nodes[0].url},${new URL(nodes[1].url).host}` }).service("cluster");
  const other = createResolver({ registry: second }).service("cluster");
  const { signal } = new AbortController();
  const told = (service, port) =>
    new Promise((resolve) => {
      const look = () => service.instances().some((each) => each.port === port) && resolve(performance.now());
      service.on("changed", look);
    });
  const enter = (registry, port) => {
    const instance = { id: `c${port}`, service: "cluster", host: "127.0.0.1", port, protocol: "http" };
    return registry.register({ ...instance, weight: 1, tags: [], metadata: {} }, { ttlMs: 60_000, signal });
  };
  await Promise.all([enter(first, 1), both.ready().catch(() => {}), other.ready().catch(() => {})]);
  await pass(2_000);
  const times = [];
  for (let port = 2; port < 2 + ROUNDS; port++) {
    const news = told(other, port);
    const sent = performance.now();
    await enter(first, port);
    times.push((await news) - sent);
    await pass(30);
  }
  times.sort((a, b) => a - b);
  const [p50, worst] = [times[ROUNDS / 2], times.at(-1)].map((ms) => ms.toFixed(1));
  console.log(`cluster: registered at one, known at the other: p50 ${p50} ms, worst of ${ROUNDS} ${worst} ms`);
  const moved = told(both, 10_000);
  const killedAt = performance.now();
  nodes[0].child.kill("SIGKILL");
  await enter(second, 10_000);
  console.log(
    `cluster: a resolver of a SIGKILLed node is told by the other after ${Math.round((await moved) - killedAt)} ms`,
  );
  for (const { child } of nodes) child.kill("SIGKILL");
}

/** One of our servers on that etcd, a process of its own. */
async function server() {
  const child = fork(fileURLToPath(new URL("etcd-server-process.mjs", import.meta.url)), [origin]);
  const [url] = await once(child, "message");
  return { child, url };
}

/** Requests in one minute in which nothing changes: one agent, and one resolver that watches ten services. */
async function steady() {
  const counts = new Map();
  subscribe("undici:request:create", ({ request }) => counts.set(request.path, (counts.get(request.path) ?? 0) + 1));
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

/** Until a SIGKILLed instance is no longer called: told by etcd alone, and found out by a call. */
async function killed() {
  const resolver = createResolver({ registry });
  const orders = resolver.service("orders");
  const children = [await provider(), await provider()];
  while ((await orders.ready()).instances.length < 2) await pass(50);
  const victim = children[0];
  const ejected = once(orders, "ejected");
  const gone = new Promise((resolve) => {
    orders.on("changed", ({ snapshot }) => {
      if (snapshot.instances.every(({ id }) => id !== victim.id)) resolve();
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
  await gone;
  console.log(`killed: gone from etcd after ${Math.round(performance.now() - began)} ms (ttl 6 s)`);
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
