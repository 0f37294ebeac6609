import { subscribe } from "node:diagnostics_channel";
import { setTimeout as pass } from "node:timers/promises";
import { createAgent, createResolver } from "../../../dist/index.js";

const SERVICES = 10;

/** Requests of each kind in one minute in which nothing changes: one agent, and one resolver that watches ten services. */
export async function steady(registry, kindOf) {
  const counts = new Map();
  subscribe("undici:request:create", ({ request }) => {
    const kind = kindOf(request);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  });
  const agent = createAgent({ registry, service: "steady-0", host: "127.0.0.1", port: 3_000 });
  await agent.start();
  const resolver = createResolver({ registry });
  for (let index = 0; index < SERVICES; index++) resolver.service(`steady-${index}`).resume();
  await pass(5_000);
  counts.clear();
  await pass(60_000);
  console.log(`requests in a minute, 1 agent, 1 resolver, ${SERVICES} services:`, Object.fromEntries(counts));
  await resolver.close();
  await agent.stop();
}
