import assert from "node:assert/strict";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, describe, it } from "vitest";
import { defineInstance } from "../../src/model/instance.js";
import type { MemoryRegistry } from "../../src/registry/memory-options.js";
import { createRegistryServer, type RegistryServerOptions } from "../../src/server/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { type Lines, openLines } from "../fakes/lines.js";
import { added, scriptedRegistry, snapshot } from "../fakes/scripted-registry.js";

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

describe("a watch over HTTP", () => {
  it("resumes after each revision of a service with exactly what is missing", async () => {
    const { url, memory, add } = await start();
    for (let port = 1; port <= 20; port++) await add(port);
    await memory.deregister(await add(21));
    for (let revision = 1; revision <= memory.revision; revision++) {
      const lines = await watch(url, { orders: `${memory.epoch}:${revision}` });
      const { event, since, added: news = [], removed = [] } = await lines.next();
      const [left] = removed;
      if (revision === memory.revision) assert.equal(event, "ping");
      else assert.deepEqual([event, since], ["delta", revision]);
      assert.equal(news.length, Math.max(0, 20 - revision));
      assert.equal(left?.reason, revision < memory.revision ? "deregistered" : undefined);
      lines.end();
    }
  });

  it("starts over with the whole list for another epoch, and for a past it has forgotten", async () => {
    const { url, memory, add } = await start();
    for (let round = 0; round < 2_001; round++) await add(1);
    for (const position of ["another:7", `${memory.epoch}:1`, `${memory.epoch}:999999`, "nonsense", null]) {
      const lines = await watch(url, { orders: position });
      const { event, revision, instances } = await lines.next();
      assert.deepEqual([event, revision, instances.length], ["snapshot", memory.revision, 1], String(position));
      lines.end();
    }
    const lines = await watch(url, { orders: `${memory.epoch}:${memory.revision - 900}` });
    assert.equal((await lines.next()).event, "delta");
  });

  it("tells every reader of every change, once and in order, whenever it comes", async () => {
    const { url, add, memory } = await start();
    const readers = [];
    for (let port = 1; port <= 60; port++) {
      readers.push(watch(url, { orders: null }).then((lines) => follow(lines, 60)));
      await add(port);
    }
    for (const told of await Promise.all(readers)) {
      assert.equal(told.known.size, 60);
      assert.equal(told.revision, memory.revision);
    }
  });

  it("has sent a change to its first readers when whoever made it is answered", async () => {
    const { server } = await start();
    const readers: Socket[] = [];
    const unsent: number[] = [];
    let sentBefore = 0;
    const mounted = createServer((request, response) => {
      if (request.url === "/v1/watch") readers.push(request.socket);
      else {
        const answer = response.end;
        response.end = (...given: unknown[]) => {
          unsent.push(...readers.map((reader) => reader.writableLength));
          assert.ok(
            readers.every((reader) => reader.bytesWritten > sentBefore),
            "they have been told",
          );
          return Reflect.apply(answer, response, given);
        };
      }
      server.handle(request, response);
    });
    opened.push(() => mounted.close());
    const url = await new Promise<string>((resolve) =>
      mounted.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${(mounted.address() as AddressInfo).port}`)),
    );
    const lines = await watch(url, { orders: null });
    await lines.next();
    for (let reader = 2; reader <= 20; reader++) await (await watch(url, { orders: null })).next();
    sentBefore = Math.max(...readers.map(({ bytesWritten }) => bytesWritten));
    const body = JSON.stringify({ service_name: "orders", host: "10.0.0.1", port: 1 });
    await fetch(`${url}/v1/register`, { method: "POST", headers: { "content-type": "application/json" }, body });
    assert.equal((await lines.next()).event, "snapshot");
    assert.equal(unsent.filter((bytes) => bytes === 0).length, 16, "and not more: the answer would wait for them");
  });

  it("says a service's place in a ping to a reader that is up to date, and nothing of it in the others", async () => {
    const { url, clock, memory, add } = await start();
    await add(1);
    const lines = await watch(url, { orders: `${memory.epoch}:1` });
    assert.deepEqual(await lines.next(), { event: "ping", service_name: "orders", epoch: memory.epoch, revision: 1 });
    await clock.advance(15_000);
    assert.deepEqual(await lines.next(), { event: "ping" });
  });

  it("says when warming is over, although nothing has changed since", async () => {
    const { url, clock, add } = await start({ warmingMs: 30_000 });
    const lines = await watch(url, { orders: null });
    assert.deepEqual(await said(lines, "event", "warming"), ["absent", true]);
    await add(1);
    await lines.next();
    await add(2);
    assert.deepEqual(await said(lines, "event", "since"), ["delta", 1]);
    await clock.advance(30_000);
    await lines.next(); // 15 s
    const last = [await lines.next(), await lines.next()].find(({ event }) => event !== "ping");
    assert.deepEqual([last.event, last.warming, last.instances.length], ["snapshot", false, 2]);
  });

  it("resumes a browser where its last event was, although it repeats its first query", async () => {
    const { url, memory, add } = await start();
    await add(1);
    const accept = "text/event-stream";
    const first = await openLines(`${url}/v1/watch?service=orders`, { accept });
    opened.push(first.end);
    for (const expected of [/^data: \{"event":"hello"/, /^$/, `id: ${memory.epoch}:1`, /^data: \{"event":"snapshot"/]) {
      const line = await first.next();
      if (typeof expected === "string") assert.equal(line, expected);
      else assert.match(line, expected);
    }
    await add(2);
    const again = await openLines(`${url}/v1/watch?service=orders&since=old:1`, {
      accept,
      lastId: `${memory.epoch}:1`,
    });
    opened.push(again.end);
    await again.next();
    await again.next();
    assert.equal(await again.next(), `id: ${memory.epoch}:2`);
    assert.match(await again.next(), /^data: \{"event":"delta"/);
  });

  it("does not take a reader of many long lists for a slow one", async () => {
    const { url, memory } = await start();
    const metadata = { filling: "x".repeat(1_000) };
    const names = Array.from({ length: 40 }, (_, index) => `service-${index}`);
    for (const service of names) {
      for (let port = 1; port <= 100; port++) {
        const instance = defineInstance({ service, host: "10.0.0.1", port, metadata });
        await memory.register(instance, { ttlMs: 3_600_000, signal: new AbortController().signal });
      }
    }
    const lines = await watch(url, Object.fromEntries(names.map((name) => [name, null]))); // 5 MB
    const told = new Set<string>();
    while (told.size < names.length) told.add((await lines.next()).service_name);
    assert.equal(told.size, 40);
  });

  it("cuts a reader that stopped reading, which resumes without a loss", async () => {
    const { url, add, memory } = await start();
    await add(1);
    const since = `${memory.epoch}:${memory.revision}`;
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname).pause();
    socket.on("error", () => {});
    socket.write(`GET /v1/watch?service=orders&since=${since} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    let isCut = false;
    socket.once("close", () => {
      isCut = true;
    });
    const filling = { filling: "x".repeat(1_000) };
    for (let round = 0; !isCut && round < 50_000; round++) {
      await add(2 + (round % 500), filling);
      if (round % 500 === 0) await turn();
      if (round === 20_000) socket.resume(); // the kernel tells of the cut only to a reader
    }
    assert.ok(isCut);
    const lines = await watch(url, { orders: since });
    const { known, revision } = await follow(lines, 501);
    assert.deepEqual([known.size, revision], [501, memory.revision]);
  });

  it("refuses a watch of nothing, of too much and of names that are none", async () => {
    const { url } = await start();
    const many = Object.fromEntries(Array.from({ length: 1_025 }, (_, index) => [`s${index}`, null]));
    for (const services of [{}, many, { "a/b": null }, [], "orders", undefined]) {
      const lines = await openLines(`${url}/v1/watch`, { body: { services } });
      assert.equal(lines.status, 422);
      lines.end();
    }
    const nothing = await openLines(`${url}/v1/watch`);
    assert.equal(nothing.status, 422);
    nothing.end();
  });
});

describe("a watch in front of a registry that answers in its own time", () => {
  it("asks again, from where the reader is, when a shared change does not follow on what it was told", async () => {
    const { url, scripted } = await startScripted();
    scripted.list = async () => snapshot(5, [1, 2, 3]);
    const lines = await watch(url, { orders: null });
    assert.deepEqual(await said(lines, "event", "revision"), ["snapshot", 5]);
    scripted.list = async (since) => ({ ...added(5, 7, 4), since }) as never;
    scripted.push(added(3, 7, 4)); // the watch was behind the list: this one joins 3 and 7
    assert.deepEqual(await said(lines, "event", "since", "revision"), ["delta", 5, 7]);
    assert.deepEqual(scripted.asked, [undefined, "e:5"]);
    scripted.push(added(7, 8, 5));
    assert.deepEqual(await said(lines, "event", "since", "revision"), ["delta", 7, 8]);
    assert.equal(scripted.asked.length, 2);
  });

  it("never leads a reader back", async () => {
    const { url, scripted } = await startScripted();
    let answer: (update: ReturnType<typeof snapshot>) => void = () => {};
    scripted.list = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const lines = await watch(url, { orders: null });
    scripted.push(snapshot(3, [1])); // what the watch begins with, older than the list that is on its way
    scripted.push(added(3, 4, 2));
    await turn();
    answer(snapshot(4, [1, 2]));
    scripted.push(added(4, 5, 3));
    assert.deepEqual(await said(lines, "event", "revision"), ["snapshot", 4]);
    assert.deepEqual(await said(lines, "event", "since", "revision"), ["delta", 4, 5]);
    assert.equal(scripted.asked.length, 1);
  });

  it("cuts its readers when the registry's own watch breaks", async () => {
    const { url, scripted } = await startScripted();
    scripted.list = async () => snapshot(1, [1]);
    const lines = await watch(url, { orders: null });
    await lines.next();
    scripted.breakWatch();
    assert.equal(await lines.next(), undefined);
  });

  it("polls a registry that cannot push", async () => {
    const { scripted } = await startScripted();
    const { watch: _, ...pulled } = scripted.registry;
    const clock = new ManualClock();
    const server = createRegistryServer({ port: 0, clock, registry: pulled });
    opened.push(() => server.close());
    scripted.list = async () => snapshot(1, [1]);
    const lines = await watch(await server.listen(), { orders: null });
    assert.deepEqual(await said(lines, "event", "revision"), ["snapshot", 1]);
    await turn();
    scripted.list = async () => snapshot(2, [1, 2]);
    await clock.advance(33_000);
    const told = [await lines.next(), await lines.next(), await lines.next()];
    assert.ok(told.some(({ event, revision }) => event === "snapshot" && revision === 2));
  });
});

async function start(options: RegistryServerOptions = {}) {
  const clock = new ManualClock();
  const server = createRegistryServer({ port: 0, clock, warmingMs: 0, ...options });
  opened.push(() => server.close());
  const url = await server.listen();
  const memory = server.registry as MemoryRegistry;
  const add = (port: number, metadata: Record<string, string> = {}) => {
    const instance = defineInstance({ service: "orders", host: "10.0.0.1", port, metadata });
    return memory.register(instance, { ttlMs: 86_400_000, signal: new AbortController().signal });
  };
  return { clock, server, url, memory, add };
}

async function startScripted() {
  const scripted = scriptedRegistry();
  const server = createRegistryServer({ port: 0, clock: new ManualClock(), registry: scripted.registry });
  opened.push(() => server.close());
  return { scripted, url: await server.listen() };
}

/** A watch whose greeting was read. */
async function watch(url: string, services: Record<string, string | null>): Promise<Lines> {
  const lines = await openLines(`${url}/v1/watch`, { body: { services } });
  opened.push(lines.end);
  assert.equal((await lines.next()).event, "hello");
  return lines;
}

async function said(lines: Lines, ...fields: readonly string[]): Promise<unknown[]> {
  const event = await lines.next();
  return fields.map((field) => event[field]);
}

/** Reads until that many instances are known, and fails on a gap, on a step back and on what was told before. */
async function follow(lines: Lines, count: number): Promise<{ known: Set<string>; revision: number }> {
  const known = new Set<string>();
  let revision = 0;
  while (known.size < count) {
    const event = await lines.next();
    if (event.event === "absent") continue;
    if (event.event === "delta" && revision > 0) assert.equal(event.since, revision);
    assert.ok(event.revision > revision, `${event.event} ${event.revision} after ${revision}`);
    revision = event.revision;
    for (const { id } of event.instances ?? event.added) known.add(id);
  }
  return { known, revision };
}

/** Lets what is on the sockets arrive. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
