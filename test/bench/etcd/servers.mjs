// Figures of our own servers on one etcd.
import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pass } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Pool } from "undici";
import { createResolver, defineInstance, http } from "../../../dist/index.js";
import { base64, post } from "./gateway.mjs";

const REGISTRATIONS = 3_000;
const IN_FLIGHT = 64;
const NEWS = 100;

/** Registrations a second: a bare grant and put, and through one of our servers on that etcd, by turns. */
export async function throughput(origin) {
  const { child, url } = await server(origin);
  const pools = [origin, url].map((each) => new Pool(each, { connections: IN_FLIGHT }));
  const rates = { raw: [], ours: [] };
  for (let round = 0; round < 5; round++) {
    rates.raw.push(await rateOf((index) => grantAndPut(pools[0], round, index)));
    rates.ours.push(await rateOf((index) => register(pools[1], round, index)));
  }
  child.kill();
  const [raw, ours] = [rates.raw, rates.ours].map((all) => all.sort((a, b) => a - b)[2]);
  const told = `raw ${raw.toFixed(0)}/s, through our server ${ours.toFixed(0)}/s, ${(ours / raw).toFixed(2)}`;
  console.log(`registrations: ${told}`);
}

async function grantAndPut(pool, round, index) {
  const { ID: lease } = await post(pool, "/v3/lease/grant", { TTL: "60" });
  const value = base64(JSON.stringify({ id: `r${index}`, service_name: "raw", host: "10.0.0.1", port: 1_000 }));
  await post(pool, "/v3/kv/put", { key: base64(`/raw/${round}/${index}`), value, lease });
}

function register(pool, round, index) {
  return post(pool, "/v1/register", {
    id: `${process.pid}-${round}-${index}`, // one that an earlier run has left would be taken over
    service_name: `t${index % 50}`,
    host: "10.0.0.1",
    port: 1_000,
    ttl: 60,
  });
}

async function rateOf(registers) {
  let next = 0;
  const began = performance.now();
  const work = async () => {
    while (next < REGISTRATIONS) await registers(next++);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, work));
  return REGISTRATIONS / ((performance.now() - began) / 1_000);
}

/**
 * Two of our servers: from a registration at one to the news of it at the other; then one is SIGKILLed, and a resolver
 * that had it is told of the next registration by the other.
 */
export async function cluster(origin) {
  const nodes = [await server(origin), await server(origin)];
  const [first, second] = nodes.map(({ url }) => http({ url }));
  const both = createResolver({ registry: `${nodes[0].url},${new URL(nodes[1].url).host}` }).service("cluster");
  const other = createResolver({ registry: second }).service("cluster");
  await Promise.all([enter(first, 1), both.ready().catch(() => {}), other.ready().catch(() => {})]);
  await pass(2_000);
  const times = [];
  for (let port = 2; port < 2 + NEWS; port++) {
    const news = toldOf(other, port);
    const sent = performance.now();
    await enter(first, port);
    times.push((await news) - sent);
    await pass(30);
  }
  times.sort((a, b) => a - b);
  const [p50, worst] = [times[NEWS / 2], times.at(-1)].map((ms) => ms.toFixed(1));
  console.log(`cluster: registered at one, known at the other: p50 ${p50} ms, worst of ${NEWS} ${worst} ms`);
  const moved = toldOf(both, 10_000);
  const killedAt = performance.now();
  nodes[0].child.kill("SIGKILL");
  await enter(second, 10_000);
  const tookMs = Math.round((await moved) - killedAt);
  console.log(`cluster: a resolver of a SIGKILLed node is told by the other after ${tookMs} ms`);
  for (const { child } of nodes) child.kill("SIGKILL");
}

function toldOf(service, port) {
  return new Promise((resolve) => {
    const look = () => service.instances().some((each) => each.port === port) && resolve(performance.now());
    service.on("changed", look);
  });
}

function enter(registry, port) {
  const instance = defineInstance({ id: `c${port}`, service: "cluster", host: "127.0.0.1", port });
  return registry.register(instance, { ttlMs: 60_000, signal: new AbortController().signal });
}

/** One of our servers on that etcd, a process of its own. */
async function server(origin) {
  const child = fork(fileURLToPath(new URL("server-process.mjs", import.meta.url)), [origin]);
  const [url] = await once(child, "message");
  return { child, url };
}
