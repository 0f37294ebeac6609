// What a registration costs the registry: CPU µs, 100 in flight; and with 100,000 instances already there.
import { defineInstance, memoryRegistry } from "../../dist/index.js";
import { cpuPerRequest, registration, start } from "./against-server.mjs";

export const unit = "server CPU µs a registration";
export const reference = "bare node:http, JSON into a Map";
const post = (index) => ({
  path: "/v1/register",
  method: "POST",
  headers: { "content-type": "application/json" },
  body: registration(index),
});

export const contestants = {
  [reference]: () => measured("bare"),
  "createRegistryServer()": () => measured("ours"),
  "memoryRegistry()": inMemory,
};

async function measured(kind) {
  const server = await start(kind);
  const first = await cpuPerRequest(server, 100, 20_000, post);
  const again = await cpuPerRequest(server, 100, 20_000, post);
  await cpuPerRequest(server, 100, 30_000, (index) => post(index + 40_000)); // with those that warm up: 100,000
  const among = await cpuPerRequest(server, 100, 20_000, post);
  server.stop();
  return { "new instances": first, "the same again": again, "again, among 100,000": among };
}

/** What an instance with two labels takes in memory, without the server. */
async function inMemory() {
  const registry = memoryRegistry({ warmingMs: 0 });
  const options = { ttlMs: 3_600_000, signal: new AbortController().signal };
  const before = heapUsed();
  for (let index = 0; index < 100_000; index++) {
    const { service_name: service, host, port, metadata } = JSON.parse(registration(index));
    await registry.register(defineInstance({ service, host, port, metadata }), options);
  }
  return { "an instance, B": (heapUsed() - before) / registry.size };
}

function heapUsed() {
  for (let round = 0; round < 3; round++) globalThis.gc();
  return process.memoryUsage().heapUsed;
}
