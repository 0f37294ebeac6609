import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, it } from "vitest";
import { type CreateResolverOptions, createResolver, DiscoveryError, staticRegistry } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { type Backend, startBackend } from "../fakes/backend.js";
import { opened } from "../opened.js";

describe("a call that waits for a connection, all of which our own calls have", () => {
  it("gives the instance its whole time once it has one", async () => {
    const { clock, orders, held, asked } = await start(1);
    const first = orders.request("/");
    await asked(1);
    const second = orders.request("/");
    await clock.advance(90);
    held[0]?.end();
    await (await first).body.dump();
    await asked(2);
    await clock.advance(90);
    held[1]?.end();
    assert.equal((await second).statusCode, 200);
    await clock.advance(0);
    assert.ok(orders.endpoints.every(({ load }) => load.failures === 0 && load.latencyMs <= 90));
  });

  it("goes elsewhere after the time of a try, whatever its method, and blames nobody", async () => {
    const { clock, orders, held, asked, streams, total } = await start(2);
    await streams(2);
    const call = orders.request("/", { method: "POST", body: "once" });
    const [first, second] = orders.endpoints;
    const waits = () => [first?.load.inFlight, second?.load.inFlight].sort();
    assert.deepEqual(waits(), [1, 2]);
    const where = first?.load.inFlight === 2 ? first : second;
    await clock.advance(100);
    assert.deepEqual([where?.load.inFlight, waits()], [1, [1, 2]], "it waits at the other one now");
    assert.equal(total(), 2);
    const port = (where === first ? second : first)?.instance.port;
    for (const each of held) if (each.socket?.localPort === port) each.end();
    await asked(3);
    held.at(-1)?.end();
    assert.equal((await call).statusCode, 200);
    assert.ok(orders.endpoints.every(({ load, ejection }) => load.failures + ejection.failuresInRow === 0));
  });

  it("waits where its key belongs, though another has a connection free, and goes by no key where none chooses", async () => {
    const { clock, orders, held, asked } = await start(3, { balancer: "consistent-hash" });
    const first = orders.request("/", { key: "user-42" });
    await asked(1);
    const second = orders.request("/", { key: "user-42" });
    assert.deepEqual(orders.endpoints.map(({ load }) => load.inFlight).sort(), [0, 0, 2]);
    await clock.advance(50);
    held[0]?.end();
    await (await first).body.dump();
    await asked(2);
    orders.setBalancer("round-robin");
    const others = [1, 2, 3].map(() => orders.request("/", { key: "user-42" }));
    assert.deepEqual(orders.endpoints.map(({ load }) => load.inFlight).sort(), [1, 1, 2]);
    await asked(4);
    for (const each of held.slice(1)) each.end();
    assert.equal((await second).statusCode, 200);
    await asked(5);
    held.at(-1)?.end();
    for (const call of others) await (await call).body.dump();
  });

  it("keeps its turn where nobody else is left, until the call is over", async () => {
    const { clock, orders, streams, total } = await start(1, { timeoutMs: 1_000 });
    await streams(1);
    const failed = assert.rejects(
      orders.request("/"),
      (error) =>
        DiscoveryError.is(error, "TIMEOUT") && /none of its 1 connections to spare within 1000 ms/.test(error.message),
    );
    await clock.advance(999);
    assert.equal(orders.endpoints[0]?.load.inFlight, 2);
    await clock.advance(1);
    await failed;
    assert.deepEqual([total(), orders.endpoints[0]?.load.inFlight, orders.endpoints[0]?.load.failures], [1, 1, 0]);
  });

  it("has no turn to keep once its connection is refused: it fails at once", async () => {
    const { orders, backends, streams } = await start(1, { timeoutMs: 60_000 });
    await streams(1);
    const failed = assert.rejects(orders.request("/"), /No other instance is left/);
    await Promise.all(backends.map((each) => each.close()));
    await failed;
    assert.deepEqual(orders.endpoints[0]?.load.inFlight, 0);
  });

  it("has none either once the resolver is closed", async () => {
    const { orders, resolver, streams } = await start(1, { timeoutMs: 60_000 });
    await streams(1);
    const failed = assert.rejects(orders.request("/"), (error) => DiscoveryError.is(error, "CLOSED"));
    await resolver.close();
    await failed;
  });

  it("is none where somebody else has one to spare", async () => {
    const { orders, held, asked, streams } = await start(3);
    await streams(2);
    for (let call = 0; call < 4; call++) {
      const answer = orders.request("/");
      await asked(3 + call);
      held.at(-1)?.end();
      await (await answer).body.dump();
    }
    const counts = orders.endpoints.map(({ load }) => load.calls).sort();
    assert.deepEqual(counts, [1, 1, 4]);
  });

  it("sends nobody more than was asked of us: a burst is answered whole, each call sent once", async () => {
    const { clock, orders, held, streams, total } = await start(2);
    await streams(0);
    const calls = Array.from({ length: 12 }, () => orders.request("/"));
    for (let wave = 1; wave <= 6; wave++) {
      while (total() < 2 * wave) await turn();
      await clock.advance(90); // of the 100 that a try may take
      for (const each of held.splice(0)) each.end();
    }
    for (const call of calls) await (await call).body.dump();
    assert.equal(total(), 12);
    assert.ok(orders.endpoints.every(({ load, ejection }) => load.failures === 0 && ejection.cause === undefined));
  });
});

describe("an instance that accepts no connection in the time of a try", () => {
  it("is blamed for it", async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => void sockets.push(socket.on("error", () => {})));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    opened.push({ close: async () => void silent.close() });
    const { port } = silent.address() as AddressInfo;
    const clock = new ManualClock();
    const registry = staticRegistry([{ service: "orders", host: "127.0.0.1", port, protocol: "https" }]);
    const resolver = createResolver({ registry, clock, tryTimeoutMs: 100 });
    opened.push(resolver);
    const orders = resolver.service("orders");
    await orders.ready();
    const failed = assert.rejects(orders.request("/"), /accepted no connection within 100 ms/);
    while (sockets.length === 0) await turn();
    await clock.advance(100); // it waits for a handshake that nobody answers
    await failed;
    assert.deepEqual([orders.endpoints[0]?.load.failures, orders.endpoints[0]?.ejection.failuresInRow], [1, 1]);
    for (const socket of sockets) socket.destroy();
  });
});

/** Instances that hold every answer, with one connection each; `/stream` begins one and leaves it open. */
async function start(count: number, options: CreateResolverOptions = {}) {
  const held: ServerResponse[] = [];
  const backends: Backend[] = [];
  for (let made = 0; made < count; made++) {
    backends.push(
      await startBackend((request, response) => {
        held.push(response);
        if (request.url === "/stream") response.write("begun");
      }),
    );
  }
  opened.push(...backends);
  const clock = new ManualClock();
  const registry = staticRegistry(backends.map(({ port }) => ({ service: "orders", host: "127.0.0.1", port })));
  const resolver = createResolver({ registry, clock, connections: 1, tryTimeoutMs: 100, ...options });
  opened.push(resolver);
  const orders = resolver.service("orders");
  await orders.ready();
  const total = (): number => backends.reduce((sum, { requests }) => sum + requests.length, 0);
  const asked = async (times: number): Promise<void> => {
    while (total() < times) await turn();
  };
  const streams = async (times: number): Promise<void> => {
    for (let begun = 0; begun < times; begun++) (await orders.request("/stream")).body.on("error", () => {});
  };
  return { clock, resolver, backends, orders, held, total, asked, streams };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
