// Wears the library out and weighs it. Arguments: "updates" or "names" and how many, or "churn" and for how many seconds.
// Runs with --expose-gc. Prints one line of JSON after everything was closed; then it must end by itself.
import { createServer } from "node:http";
import { createAgent, createResolver, defineInstance, memoryRegistry } from "../../dist/index.js";
import { createRegistryServer } from "../../dist/server/index.js";

const SAMPLES = 20;
const INSTANCES = 32;
/** As many leave at once, of twice as many places. */
const LEAVING = 4;
/** Three changes for each that comes and goes: these fill the registry's history of 1,000, which is no leak. */
const WARMUP_CYCLES = 100;

const agents = new Set();
const ports = [];
const warnings = [];
process.on("warning", ({ name, message }) => warnings.push(`${name}: ${message}`));
const [kind, amount] = process.argv.slice(2);
const heap = [];
const figures = await { updates, names, churn }[kind](Number(amount));
for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve)); // handles close at a turn's end
const open = process.getActiveResourcesInfo().filter((each) => /Timeout|Immediate|TCP|FS/.test(each));
process.stdout.write(`${JSON.stringify({ ...figures, heap, open, warnings })}\n`);

/** One instance after another leaves, comes back or changes, in a memory that a resolver watches. */
async function updates(count) {
  const { signal } = new AbortController();
  const registry = memoryRegistry({ warmingMs: 0 });
  const terms = { ttlMs: 86_400_000, signal }; // nobody beats here
  const instances = Array.from({ length: INSTANCES }, (_, index) =>
    defineInstance({ service: "orders", host: "127.0.0.1", port: 10_000 + index }),
  );
  const leases = [];
  for (const instance of instances) leases.push(await registry.register(instance, terms));
  const resolver = createResolver({ registry });
  const orders = resolver.service("orders");
  let changes = 0;
  orders.on("changed", () => changes++);
  await orders.ready();
  for (let done = 0; done < count; ) {
    const index = ((done / 3) % INSTANCES) | 0;
    const instance = instances[index];
    leases[index] = await registry.update(leases[index], defineInstance({ ...instance, weight: 1 + (done % 7) }), {
      signal,
    });
    await registry.deregister(leases[index]);
    leases[index] = await registry.register(instance, terms);
    done += 3;
    if (done % 30 === 0) {
      await new Promise((resolve) => setImmediate(resolve)); // the watch tells
      const picked = orders.pickNow();
      picked.report("success");
      picked.release();
    }
    if (Math.floor(done / (count / SAMPLES)) > heap.length) weigh();
  }
  await new Promise((resolve) => setImmediate(resolve)); // the watch tells of the last ones
  const listed = orders.instances().length;
  await resolver.close();
  await registry.close();
  return { updates: count, changes, listed, size: registry.size };
}

/** One invented name after the other is called, once, beside one that exists. */
async function names(count) {
  const { signal } = new AbortController();
  const registry = memoryRegistry({ warmingMs: 0 });
  const instance = defineInstance({ service: "orders", host: "127.0.0.1", port: 10_000 });
  await registry.register(instance, { ttlMs: 86_400_000, signal });
  const resolver = createResolver({ registry });
  const orders = resolver.service("orders");
  await orders.ready();
  let refused = 0;
  for (let done = 0; done < count; ) {
    const calls = Array.from({ length: 20 }, (_, index) => resolver.service(`invented-${done + index}`).pick());
    for (const { reason } of await Promise.allSettled(calls)) if (reason?.code === "SERVICE_UNKNOWN") refused++;
    done += calls.length;
    if (done % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve)); // what nobody holds can go
    if (Math.floor(done / (count / SAMPLES)) > heap.length) weigh();
  }
  const isWatched = resolver.service("orders") === orders;
  const known = orders.pickNow().instance.id;
  await resolver.close();
  await registry.close();
  return { names: count, refused, isWatched, known };
}

/** Providers with real sockets come, are called, and leave, as in a deploy that never ends: on the same few addresses. */
async function churn(seconds) {
  const server = createRegistryServer({ port: 0 });
  const url = await server.listen();
  const resolver = createResolver({ registry: url });
  await provider(url, 2 * LEAVING); // one stays
  const orders = resolver.service("orders");
  await orders.ready();
  let begun = performance.now();
  const passed = () => (performance.now() - begun) / 1_000;
  let cycles = 0;
  let calls = 0;
  const failures = [];
  for (; cycles <= WARMUP_CYCLES || passed() < seconds; cycles++) {
    if (cycles === WARMUP_CYCLES) begun = performance.now();
    const places = Array.from({ length: LEAVING }, (_, index) => index + (cycles % 2) * LEAVING);
    const leaving = await Promise.all(places.map((place) => provider(url, place)));
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, () => orders.request("/").then(({ body }) => body.dump())),
    );
    calls += results.length;
    failures.push(...results.filter(({ status }) => status === "rejected").map(({ reason }) => String(reason)));
    await Promise.all(leaving.map((each) => each.stop()));
    if (cycles > WARMUP_CYCLES && passed() > ((heap.length + 1) * seconds) / SAMPLES) weigh();
  }
  await Promise.all([...agents].map((agent) => agent.stop()));
  await resolver.close();
  await server.close();
  return { cycles, calls, failures };
}

async function provider(url, place) {
  const server = createServer((_, response) => response.end("ok"));
  const agent = createAgent({ registry: url, service: "orders", drainMs: 100 });
  agents.add(agent);
  agent.once("stopped", () => agents.delete(agent));
  agent.attach(server, { signals: false, quietMs: 0, graceMs: 1_000 });
  const registered = new Promise((resolve) => agent.once("registered", resolve));
  server.once("listening", () => {
    ports[place] = server.address().port;
  });
  server.once("error", () => server.listen(0, "127.0.0.1")); // somebody else has taken it
  server.listen(ports[place] ?? 0, "127.0.0.1");
  await registered;
  return agent;
}

/** What is left of the heap after everything that can go has gone, in KiB. */
function weigh() {
  gc();
  gc();
  heap.push(Math.round(process.memoryUsage().heapUsed / 1_024));
}
