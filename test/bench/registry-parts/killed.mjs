import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pass } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createResolver } from "../../../dist/index.js";

const LOOK_MS = 10;
const TTL_MS = 6_000;

/**
 * How long an instance is called after its SIGKILL, as a call finds it out, and until the registry tells by itself, in
 * the stages that it knows: each a name, and whether the status in the list (undefined: not there) has come to it.
 */
export async function killed(registry, stages) {
  const resolver = createResolver({ registry });
  const orders = resolver.service("orders");
  orders.resume();
  const children = [await provider(registry), await provider(registry)];
  const [victim] = children;
  const statusOf = (one) => orders.snapshot.instances.find(({ id }) => id === one.id)?.status;
  while (!children.every(statusOf)) await pass(LOOK_MS);
  const ejected = once(orders, "ejected");
  const began = performance.now();
  const since = () => `${Math.round(performance.now() - began)} ms`;
  victim.child.kill("SIGKILL");
  const [calls, lost] = [[], []];
  const calling = setInterval(() => {
    const call = orders.fetch("/").then((answer) => answer.text());
    calls.push(call.catch((error) => lost.push(error)));
  }, 10);
  await ejected;
  console.log(`killed: ejected after ${since()} (100 calls/s)`);
  for (const [stage, isReached] of Object.entries(stages)) {
    while (!isReached(statusOf(victim))) await pass(LOOK_MS);
    console.log(`killed: ${stage} after ${since()} (ttl ${TTL_MS / 1_000} s)`);
  }
  clearInterval(calling);
  await Promise.all(calls);
  console.log(`killed: ${lost.length} of ${calls.length} calls failed`);
  for (const { child } of children) child.kill("SIGKILL");
  await resolver.close();
}

async function provider(url) {
  const path = fileURLToPath(new URL("../../chaos/provider-process.mjs", import.meta.url));
  const child = fork(path, [JSON.stringify({ url, ttlMs: TTL_MS })]);
  const [{ id }] = await once(child, "message");
  return { child, id };
}
