import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, it } from "vitest";
import { createResolver, http, type ServiceClient } from "../../src/index.js";
import { defineInstance } from "../../src/model/instance.js";
import type { RegistryUpdate } from "../../src/model/update.js";
import { memoryRegistry } from "../../src/registry/memory.js";
import type { Lease, Registry } from "../../src/registry/registry.js";
import { haltSignal } from "../../src/runtime/deadline.js";
import { createRegistryServer, type RegistryServer } from "../../src/server/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { type Lines, openLines } from "../fakes/lines.js";
import { orders, scriptedRegistry, snapshot } from "../fakes/scripted-registry.js";

const WAIT_MS = 5_000;
const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

describe("a deregistration that waits", () => {
  it("is answered once no consumer lists the instance any more", async () => {
    const { url, register, leave } = await start();
    const lease = await register(1);
    const consumers = [await consumer(url), await consumer(url)];
    await register(2);
    for (const each of consumers) await knows(each, 2); // over its watch: it is open
    const { acked, waiting } = await leave(lease);
    for (const each of consumers) {
      assert.deepEqual(
        each.instances().map(({ port }) => port),
        [2],
      );
    }
    assert.deepEqual([acked, waiting], [2, 0]);
  });

  it("waits for a consumer that has yet to apply it, and no longer than it was asked to", async () => {
    const { url, clock, register, leave } = await start();
    const lease = await register(1);
    await silent(url);
    const swift = await consumer(url);
    await register(2);
    await knows(swift, 2);
    const leaving = watched(leave(lease));
    await knows(swift, 1);
    await clock.advance(WAIT_MS - 1);
    assert.equal(leaving.result(), undefined);
    await clock.advance(1);
    assert.deepEqual(await leaving.done, { acked: 1, waiting: 1 });
  });

  it("waits for a process that has stopped, and no longer once that is killed", async () => {
    const { url, register, leave } = await start();
    const lease = await register(1);
    const frozen = await consumerProcess(url);
    frozen.kill("SIGSTOP");
    const leaving = watched(leave(lease));
    await turns(20);
    assert.equal(leaving.result(), undefined);
    frozen.kill("SIGKILL");
    assert.deepEqual(await leaving.done, { acked: 0, waiting: 0 });
  });

  it("waits for nobody who never said that they would acknowledge", async () => {
    const { url, register, leave } = await start();
    const lease = await register(1);
    const readers = [
      await openLines(`${url}/v1/watch?service=orders`, { accept: "text/event-stream" }),
      await openLines(`${url}/v1/watch?service=orders`),
      await openLines(`${url}/v1/watch`, { body: { services: { orders: null }, acks: false } }),
    ];
    for (const { end } of readers) opened.push(end);
    for (const each of readers) await each.next();
    assert.deepEqual(await leave(lease), { acked: 0, waiting: 0 });
    assert.deepEqual(await leave(lease), { acked: 0, waiting: 0 });
  });

  it("is not held by a consumer of another service", async () => {
    const { url, register, leave } = await start();
    const lease = await register(1);
    await silent(url, { carts: null });
    assert.deepEqual(await leave(lease), { acked: 0, waiting: 0 });
  });

  it("takes the acknowledgement of a slow reader when it comes", async () => {
    const { url, register, leave, ack } = await start();
    const lease = await register(1);
    const slow = await silent(url);
    const leaving = watched(leave(lease));
    const delta = await slow.lines.next();
    assert.deepEqual([delta.event, delta.ack, delta.removed[0].reason], ["delta", true, "deregistered"]);
    await turns(5);
    assert.equal(leaving.result(), undefined);
    assert.equal(await ack({ watch_id: slow.id, revision: delta.revision }), 200);
    assert.deepEqual(await leaving.done, { acked: 1, waiting: 0 });
  });

  it("is answered at once the second time, while the first still waits", async () => {
    const { url, clock, register, leave } = await start();
    const lease = await register(1);
    await silent(url);
    const before = clock.pending;
    const first = watched(leave(lease));
    while (clock.pending === before) await turns(1);
    assert.deepEqual(await leave(lease), { acked: 0, waiting: 0 });
    assert.equal(first.result(), undefined);
    await clock.advance(WAIT_MS);
    assert.deepEqual(await first.done, { acked: 0, waiting: 1 });
  });

  it("takes a hundred of them at once", async () => {
    const { url, register, leave } = await start();
    const leases = [await register(1)];
    const consumers = [await consumer(url), await consumer(url)];
    for (let port = 2; port <= 100; port++) leases.push(await register(port));
    await register(200);
    for (const each of consumers) await knows(each, 101);
    const results = await Promise.all(leases.map((lease) => leave(lease)));
    assert.deepEqual(results, Array(100).fill({ acked: 2, waiting: 0 }));
    for (const each of consumers) assert.equal(each.instances().length, 1);
  });

  it("removes the instance although whoever asked has gone, and keeps no timer for it", async () => {
    const { url, clock, server, register, registry } = await start();
    const lease = await register(1);
    await silent(url);
    const before = clock.pending;
    const halt = new AbortController();
    const leaving = registry.deregister(lease, { signal: halt.signal, waitMs: WAIT_MS });
    while (clock.pending === before) await turns(1);
    halt.abort(new Error("had enough"));
    await assert.rejects(leaving, /had enough/);
    while (clock.pending > before) await turns(1);
    assert.deepEqual(await listed(server), []);
  });

  it("ends with the server it was asked of", async () => {
    const clock = new ManualClock();
    const server = createRegistryServer({ clock, warmingMs: 0 });
    const mounted = createServer((request, response) => server.handle(request, response)).listen(0, "127.0.0.1");
    opened.push(
      () => mounted.closeAllConnections(),
      () => mounted.close(),
    );
    await once(mounted, "listening");
    const url = `http://127.0.0.1:${(mounted.address() as AddressInfo).port}`;
    const { register, leave } = speaking(url);
    const lease = await register(1);
    await silent(url);
    const before = clock.pending;
    const leaving = leave(lease);
    while (clock.pending === before) await turns(1);
    await server.close();
    assert.deepEqual(await leaving, { acked: 0, waiting: 1 });
  });

  it("refuses a wait that is none, and removes nobody then", async () => {
    const { url, server, register } = await start();
    const { id } = await register(1);
    for (const wait_ms of [-1, 60_001, "5000", true, [], {}]) {
      const { status, body } = await post(url, "/v1/deregister", { lease_id: id, wait_ms });
      assert.deepEqual([status, body.field], [422, "wait_ms"], String(wait_ms));
    }
    assert.equal((await listed(server)).length, 1);
    assert.equal((await post(url, "/v1/deregister", { lease_id: id, wait_ms: 60_000 })).status, 200);
  });
});

describe("POST /v1/watch/ack", () => {
  it("is refused for an unknown watch, and for what is no acknowledgement", async () => {
    const { url, register } = await start();
    await register(1);
    const { id, revision } = await silent(url);
    const mute = await openLines(`${url}/v1/watch?service=orders`);
    opened.push(mute.end);
    const { watch_id: unproven } = await mute.next();
    const asked: [object, number, string][] = [
      [{ watch_id: "x", revision }, 404, "WATCH_UNKNOWN"],
      [{ watch_id: unproven, revision }, 404, "WATCH_UNKNOWN"],
      [{ watch_id: id, revision }, 200, ""],
      [{ watch_id: id, revision, service_name: "orders" }, 200, ""],
      [{ watch_id: id, revision, service_name: "carts" }, 422, "REJECTED"],
      [{ watch_id: id, revision, service_name: "a/b" }, 422, "REJECTED"],
      [{ watch_id: id, revision: revision + 1 }, 422, "REJECTED"],
      ...[null, "1", -1, 1.5, 1e308, {}, [1]].map((odd): [object, number, string] => [
        { watch_id: id, revision: odd },
        422,
        "REJECTED",
      ]),
      ...[null, 1, {}, [id]].map((odd): [object, number, string] => [{ watch_id: odd, revision }, 422, "REJECTED"]),
      [{}, 422, "REJECTED"],
    ];
    for (const [fields, status, code = ""] of asked) {
      const answer = await post(url, "/v1/watch/ack", fields);
      assert.deepEqual([answer.status, answer.body.code ?? ""], [status, code], JSON.stringify(fields));
    }
    const odd = await openLines(`${url}/v1/watch`, { body: { services: { orders: null }, acks: "yes" } });
    opened.push(odd.end);
    assert.equal(odd.status, 422);
  });

  it("counts for nothing that was not sent yet, and for no other service", async () => {
    const { url, clock, register, leave, ack } = await start();
    const lease = await register(1);
    const { id, lines, revision } = await silent(url, { orders: null, carts: null });
    assert.equal((await lines.next()).event, "absent");
    await register(2, "carts");
    const carts = await lines.next();
    const early = await ack({ watch_id: id, revision: carts.revision + 1 });
    const leaving = watched(leave(lease));
    const delta = await lines.next();
    assert.equal(early, 422);
    await register(3, "carts");
    const later = await lines.next();
    assert.ok(revision < delta.revision && delta.revision < later.revision);
    assert.equal(await ack({ watch_id: id, revision: carts.revision }), 200);
    assert.equal(await ack({ watch_id: id, revision: later.revision, service_name: "carts" }), 200);
    await turns(5);
    assert.equal(leaving.result(), undefined);
    await clock.advance(WAIT_MS);
    assert.deepEqual(await leaving.done, { acked: 0, waiting: 1 });
  });
});

describe("a deregistration from a registry beyond the server", () => {
  it("counts the server's own readers, and itself where the registry beyond waits as well", async () => {
    const origin = createRegistryServer({ port: 0, clock: new ManualClock(), warmingMs: 0 });
    const between = http({ url: await origin.listen() });
    const relay = createRegistryServer({ port: 0, clock: new ManualClock(), registry: between });
    opened.push(
      () => origin.close(),
      () => between.close(),
      () => relay.close(),
    );
    const url = await relay.listen();
    const { register, leave } = speaking(url);
    const lease = await register(1);
    const consumers = [await consumer(url), await consumer(url)];
    await register(2);
    for (const each of consumers) await knows(each, 2);
    assert.deepEqual(await leave(lease), { acked: 3, waiting: 0 });
    for (const each of consumers) assert.equal(each.instances().length, 1);
  });

  it("passes on the status that the registry beyond publishes", async () => {
    const { url: origin, clock } = await start();
    const between = http({ url: origin });
    const relay = createRegistryServer({ port: 0, clock, registry: between });
    opened.push(
      () => between.close(),
      () => relay.close(),
    );
    const url = await relay.listen();
    const { id: lease_id } = await speaking(url).register(1);
    await post(origin, "/v1/heartbeat", { lease_id, status: "draining" });
    const { body } = await post(url, "/v1/heartbeat", { lease_id });
    assert.deepEqual(body.renewed, [{ lease_id, status: "draining" }]);
  });

  it("takes a list without the instance for its removal, unless the list proves nothing yet", async () => {
    const { scripted, lines, id, leave, ack } = await startScripted();
    const leaving = watched(leave());
    await turns(5);
    scripted.push(snapshot(2, [2], true)); // it has just started: consumers keep whoever is missing
    const warming = await lines.next();
    assert.equal(warming.ack, undefined);
    assert.equal(await ack({ watch_id: id, revision: 2 }), 200);
    await turns(5);
    assert.equal(leaving.result(), undefined);
    scripted.push(snapshot(3, [2]));
    const { event, ack: isAwaited } = await lines.next();
    assert.deepEqual([event, isAwaited], ["snapshot", true]);
    assert.equal(await ack({ watch_id: id, revision: 3 }), 200);
    assert.deepEqual(await leaving.done, { acked: 1, waiting: 0 });
  });

  it("keeps no timer for whoever has gone before the registry said who is listed", async () => {
    const { clock, scripted, lease, registry } = await startScripted();
    const before = clock.pending;
    let tell = (): void => {};
    const asked = new Promise<void>((resolve) => {
      scripted.list = () => {
        resolve();
        return new Promise((answer) => {
          tell = () => answer(snapshot(1, [1, 2]));
        });
      };
    });
    const halt = new AbortController();
    const leaving = registry.deregister(lease, { signal: halt.signal, waitMs: WAIT_MS });
    await asked;
    halt.abort(new Error("had enough"));
    await assert.rejects(leaving, /had enough/);
    await turns(10); // the server hears of it
    tell();
    await turns(5);
    assert.equal(clock.pending, before);
  });

  it("waits for nobody if the instance was not listed any more", async () => {
    const { scripted, leave } = await startScripted();
    for (const update of [snapshot(2, [2]), { type: "absent" } as const]) {
      scripted.list = async () => update;
      assert.deepEqual(await leave(), { acked: 0, waiting: 0 });
    }
  });

  it("waits the whole time where positions have no order, for nobody can say how far they are", async () => {
    const unordered = (ports: readonly number[], position: string): RegistryUpdate => ({
      type: "reset",
      instances: orders(...ports),
      position,
    });
    const { clock, scripted, lines, id, leave, ack } = await startScripted(unordered([1, 2], "abc"));
    const leaving = watched(leave());
    await turns(5);
    scripted.push(unordered([2], "abd"));
    const { revision } = await lines.next();
    assert.equal(await ack({ watch_id: id, revision }), 200);
    await turns(5);
    assert.equal(leaving.result(), undefined);
    await clock.advance(WAIT_MS);
    assert.deepEqual(await leaving.done, { acked: 0, waiting: 1 });
  });

  it("asks a registry that cannot push, rather than wait for the next poll", async () => {
    const memory = memoryRegistry({ clock: new ManualClock(), warmingMs: 0 });
    opened.push(() => memory.close());
    const server = createRegistryServer({ port: 0, clock: new ManualClock(), registry: withoutWatch(memory) });
    opened.push(() => server.close());
    const url = await server.listen();
    const { register, leave, ack } = speaking(url);
    const lease = await register(1);
    const { id, lines } = await silent(url);
    const leaving = leave(lease);
    for (;;) {
      const { event, revision, instances } = await lines.next();
      if (event !== "snapshot" || instances.length > 0) continue;
      assert.equal(await ack({ watch_id: id, revision }), 200);
      break;
    }
    assert.deepEqual(await leaving, { acked: 1, waiting: 0 });
  });
});

async function start() {
  const clock = new ManualClock();
  const server = createRegistryServer({ port: 0, clock, warmingMs: 0 });
  opened.push(() => server.close());
  const url = await server.listen();
  return { clock, server, url, ...speaking(url) };
}

/** A provider's side of a server. */
function speaking(url: string) {
  const registry = http({ url });
  opened.push(() => registry.close());
  const { signal } = haltSignal();
  const register = (port: number, service = "orders"): Promise<Lease> =>
    registry.register(defineInstance({ service, host: "10.0.0.1", port }), { ttlMs: 86_400_000, signal });
  const leave = (lease: Lease) => registry.deregister(lease, { signal, waitMs: WAIT_MS });
  const ack = async (fields: object): Promise<number> => (await post(url, "/v1/watch/ack", fields)).status;
  return { registry, register, leave, ack };
}

/** A server in front of a registry whose list says what it says, whoever leaves; one instance is registered. */
async function startScripted(listed: RegistryUpdate = snapshot(1, [1, 2])) {
  const scripted = scriptedRegistry();
  scripted.list = async () => listed;
  const [instance] = orders(1);
  assert.ok(instance);
  const lease = { id: "lease", instance, ttlMs: 30_000, heartbeatMs: 10_000 };
  const clock = new ManualClock();
  const registry = { ...scripted.registry, register: async () => lease, deregister: async () => ({}) };
  const server = createRegistryServer({ port: 0, clock, registry });
  opened.push(() => server.close());
  const url = await server.listen();
  const { registry: client, register, leave, ack } = speaking(url);
  await register(1);
  const { id, lines } = await silent(url);
  return { clock, scripted, id, lines, lease, registry: client, leave: () => leave(lease), ack };
}

function withoutWatch(memory: Registry): Registry {
  return {
    name: memory.name,
    capabilities: memory.capabilities,
    list: (service, options) => memory.list(service, options),
    register: (instance, options) => memory.register(instance, options),
    renew: (beats, options) => memory.renew(beats, options),
    update: (lease, instance, options) => memory.update(lease, instance, options),
    deregister: (lease, options) => memory.deregister(lease, options),
    close: () => memory.close(),
  };
}

async function listed({ registry }: RegistryServer) {
  const update = await registry.list("orders", { signal: new AbortController().signal });
  return update.type === "reset" ? update.instances : [];
}

/** A real consumer with a registry of its own, which knows the service. */
async function consumer(url: string): Promise<ServiceClient> {
  const registry = http({ url });
  const resolver = createResolver({ registry });
  opened.push(
    () => registry.close(),
    () => resolver.close(),
  );
  const service = resolver.service("orders");
  await service.ready();
  return service;
}

async function knows(service: ServiceClient, count: number): Promise<void> {
  while (service.instances().length !== count)
    await new Promise<void>((resolve) => service.once("changed", () => resolve()));
}

/** A reader that has said that it acknowledges, and leaves that to the test; its services have begun. */
async function silent(url: string, services: Record<string, string | null> = { orders: null }) {
  const lines: Lines = await openLines(`${url}/v1/watch`, { body: { services, acks: true } });
  opened.push(lines.end);
  const { watch_id: id } = await lines.next();
  const { revision = 0 } = await lines.next();
  return { id: id as string, lines, revision: revision as number };
}

/** Another process that watches and would acknowledge. */
async function consumerProcess(url: string): Promise<ChildProcess> {
  const script = `
    const body = JSON.stringify({ services: { orders: null }, acks: true });
    const headers = { "content-type": "application/json" };
    fetch("${url}/v1/watch", { method: "POST", headers, body }).then(async (response) => {
      for await (const chunk of response.body) process.stdout.write(chunk);
    });`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  opened.push(() => child.kill("SIGKILL"));
  let text = "";
  for await (const chunk of child.stdout) {
    text += chunk;
    if (text.includes("snapshot")) break;
  }
  return child;
}

function watched<T>(done: Promise<T>) {
  let result: T | undefined;
  void done.then((value) => {
    result = value;
  });
  return { done, result: () => result };
}

async function post(url: string, path: string, fields: object) {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(fields) });
  return {
    status: response.status,
    body: (await response.json()) as { code?: string; field?: string; renewed?: unknown },
  };
}

/** Lets what is on the sockets arrive. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setTimeout(resolve, 2));
}
