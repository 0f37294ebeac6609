import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { afterEach, beforeEach, describe, it } from "vitest";
import { etcd } from "../../src/adapters/etcd.js";
import { http } from "../../src/adapters/http.js";
import { createAgent, createResolver, DiscoveryError, defineInstance, type Registry } from "../../src/index.js";
import { systemClock } from "../../src/runtime/clock.js";
import { createRegistryServer, type RegistryServer } from "../../src/server/index.js";
import { type RunningRegistry, startRegistry, whyMissing } from "../registries/start.js";

const missing = await whyMissing("etcd.sh");
const { signal } = new AbortController();
const TTL_MS = 3_000;

let store: RunningRegistry;
const opened: { close(): Promise<unknown> }[] = [];

describe.skipIf(missing)("two of our servers on one etcd", () => {
  beforeEach(async () => {
    store = await startRegistry("etcd.sh");
    opened.push({ close: () => store.stop() });
  });
  afterEach(async () => {
    for (const each of opened.splice(0).reverse()) await each.close();
  });

  it("take a lease that the other granted: to renew, to change, to end", async () => {
    const [a, b] = [through(await server()), through(await server())];
    const lease = await a.register(instance(1), { ttlMs: TTL_MS, signal });
    assert.deepEqual((await b.renew([{ lease, status: "draining" }], { signal })).unknown, []);
    assert.deepEqual(
      (await instances(a)).map(({ status }) => status),
      ["draining"],
    );
    await b.update(lease, instance(1, 7), { signal });
    await a.update(lease, defineInstance({ ...instance(1, 7), zone: "eu" }), { signal });
    assert.deepEqual(
      (await instances(b)).map(({ weight, zone }) => [weight, zone]),
      [[7, "eu"]],
    );
    await b.deregister(lease, { signal });
    const { unknown } = await a.renew([{ lease }], { signal });
    assert.equal(unknown.length, 1);
    await assert.rejects(a.update(lease, instance(1), { signal }), (error) => DiscoveryError.is(error, "LEASE_LOST"));
  });

  it("are of one epoch and tell the same, each at the other's watchers", async () => {
    const [a, b] = [through(await server()), through(await server())];
    const told = [a, b].map((registry) => {
      const updates = registry.watch?.("orders", { signal })[Symbol.asyncIterator]();
      return async (count: number) => {
        for (let known = -1; known !== count; known = (await instances(registry)).length) await updates?.next();
      };
    });
    const first = await a.register(instance(1), { ttlMs: TTL_MS, signal });
    await b.register(instance(2), { ttlMs: TTL_MS, signal });
    await Promise.all(told.map((until) => until(2)));
    await b.deregister(first, { signal });
    await Promise.all(told.map((until) => until(1)));
    const [one, two] = [await a.list("orders", { signal }), await b.list("orders", { signal })];
    assert.equal(one.epoch, two.epoch);
    assert.equal(typeof one.epoch, "string");
  });

  it("lose nothing when one of them is gone", async () => {
    const [first, second] = [await server(), await server()];
    const [a, b] = [through(first), through(second)];
    const lease = await a.register(instance(1), { ttlMs: TTL_MS, signal });
    await first.close();
    for (let beat = 0; beat < 4; beat++) {
      await systemClock.sleep(TTL_MS / 3);
      assert.deepEqual((await b.renew([{ lease }], { signal })).unknown, []);
    }
    assert.equal((await instances(b)).length, 1);
  });

  it("lose nothing when the process of one is killed: agents and resolvers go on with the other, as if it were the same", async () => {
    const [first, second] = [await serverProcess(), await serverProcess()];
    const registry = `${first.url},${new URL(second.url).host}`;
    const untoward: string[] = [];
    const agents = [1, 2, 3].map((port) =>
      keep(createAgent({ registry, service: "orders", host: "127.0.0.1", port, ttlMs: TTL_MS })),
    );
    await Promise.all(agents.map((agent) => agent.start()));
    for (const agent of agents) {
      agent.on("lost", () => untoward.push("a lease was lost"));
      agent.on("registered", () => untoward.push("an agent registered again"));
    }
    const service = keep(createResolver({ registry })).service("orders");
    while ((await service.ready()).instances.length < 3) await systemClock.sleep(20);
    service.on("suspected", () => untoward.push("instances were doubted"));
    first.kill();
    const late = keep(createAgent({ registry, service: "orders", host: "127.0.0.1", port: 4, ttlMs: TTL_MS }));
    await late.start();
    while (service.instances().length < 4) await systemClock.sleep(20);
    await agents[0]?.stop();
    while (service.instances().length > 3) await systemClock.sleep(20);
    await systemClock.sleep(2 * TTL_MS); // whoever could not beat would be gone now
    assert.deepEqual(
      service.instances().map(({ port, status }) => [port, status]),
      [2, 3, 4].map((port) => [port, "healthy"]),
    );
    assert.deepEqual(untoward, []);
  });

  it("lose nothing when one of them stands still, though it takes connections: the other is asked", async () => {
    const [first, second] = [await serverProcess(), await serverProcess()];
    const registry = `${first.url},${new URL(second.url).host}`;
    const agent = keep(createAgent({ registry, service: "orders", host: "127.0.0.1", port: 1, ttlMs: TTL_MS }));
    const lost: unknown[] = [];
    agent.on("lost", (event) => lost.push(event));
    await agent.start();
    const service = keep(createResolver({ registry })).service("orders");
    await service.ready();
    first.stop(); // a process that stands still takes connections all the same
    await systemClock.sleep(2 * TTL_MS);
    const late = keep(createAgent({ registry, service: "orders", host: "127.0.0.1", port: 2, ttlMs: TTL_MS }));
    await late.start();
    while (service.instances().length < 2) await systemClock.sleep(20);
    assert.deepEqual(lost, []);
  });

  it("let each instance die alone, though its server lives and beats for others", async () => {
    const a = through(await server());
    await a.register(instance(1), { ttlMs: TTL_MS, signal });
    const lease = await a.register(instance(2), { ttlMs: TTL_MS, signal });
    for (let beat = 0; beat < 5; beat++) {
      await systemClock.sleep(TTL_MS / 3);
      await a.renew([{ lease }], { signal });
    }
    assert.deepEqual(
      (await instances(a)).map(({ port }) => port),
      [2],
    );
  });

  it("refuse a lease id that nobody signed, or that was changed", async () => {
    const a = through(await server());
    const lease = await a.register(instance(1), { ttlMs: TTL_MS, signal });
    const [text = "", mac = ""] = lease.id.split(".");
    const other = Buffer.from(Buffer.from(text, "base64url").toString().replace("orders", "orderz")).toString(
      "base64url",
    );
    for (const id of [text, `${text}.`, `${other}.${mac}`, `${text}.${mac.slice(1)}`, `.${mac}`, "x.y"]) {
      assert.equal((await a.renew([{ lease: { ...lease, id } }], { signal })).unknown.length, 1);
      await a.deregister({ ...lease, id }, { signal });
    }
    assert.equal((await instances(a)).length, 1);
  });

  it("understand each other by a key they were given, and nobody with another", async () => {
    const key = "k".repeat(32);
    const [a, b, c] = [through(await server(key)), through(await server(key)), through(await server("x".repeat(32)))];
    const lease = await a.register(instance(1), { ttlMs: TTL_MS, signal });
    assert.equal((await b.renew([{ lease }], { signal })).unknown.length, 0);
    assert.equal((await c.renew([{ lease }], { signal })).unknown.length, 1);
    await assert.rejects(server("short"), /leaseKey must be a text of 32 characters or more/);
  });

  it("understand each other again after etcd began anew, empty and with another secret", async () => {
    const [a, b] = [through(await server()), through(await server())];
    const old = await a.register(instance(1), { ttlMs: TTL_MS, signal });
    await b.renew([{ lease: old }], { signal });
    await store.stop();
    store = await startRegistry("etcd.sh", ["--port", String(store.port)]);
    const lease = await a.register(instance(1), { ttlMs: TTL_MS, signal });
    await systemClock.sleep(1_000);
    assert.deepEqual((await b.renew([{ lease }], { signal })).unknown, []);
  });

  it("answer that the store is away while it is, and serve again when it is back", async () => {
    const a = through(await server());
    await a.register(instance(1), { ttlMs: TTL_MS, signal });
    await store.stop();
    const away = (error: unknown): boolean => DiscoveryError.is(error, "UNAVAILABLE");
    await assert.rejects(a.list("orders", { signal }), away);
    await assert.rejects(a.register(instance(2), { ttlMs: TTL_MS, signal }), away);
    store = await startRegistry("etcd.sh", ["--port", String(store.port)]);
    await a.register(instance(2), { ttlMs: TTL_MS, signal });
    assert.deepEqual(
      (await instances(a)).map(({ port }) => port),
      [2],
    );
  });
});

async function server(leaseKey?: string): Promise<RegistryServer> {
  const registry = etcd({ endpoints: store.url });
  opened.push(registry);
  const made = createRegistryServer({ port: 0, registry, ...(leaseKey === undefined ? {} : { leaseKey }) });
  opened.push(made);
  await made.listen();
  return made;
}

/** One of our servers as a process of its own, which can be killed. */
async function serverProcess() {
  const child = fork(new URL("../bench/etcd/server-process.mjs", import.meta.url), [store.url]);
  keep({ close: async () => void child.kill("SIGKILL") });
  const [url] = (await once(child, "message")) as [string];
  return { url, kill: () => child.kill("SIGKILL"), stop: () => child.kill("SIGSTOP") };
}

function keep<T extends { close(): Promise<unknown> }>(value: T): T {
  opened.push(value);
  return value;
}

function through({ url = "" }: RegistryServer): Registry {
  const registry = http({ url });
  opened.push(registry);
  return registry;
}

function instance(port: number, weight = 1) {
  return defineInstance({ service: "orders", host: "127.0.0.1", port, weight });
}

async function instances(registry: Registry) {
  const update = await registry.list("orders", { signal });
  return update.type === "reset" ? update.instances : [];
}
