import assert from "node:assert/strict";
import { subscribe } from "node:diagnostics_channel";
import { Readable } from "node:stream";
import { request } from "undici";
import { describe, it } from "vitest";
import {
  type CreateResolverOptions,
  createResolver,
  DiscoveryError,
  roundRobin,
  staticRegistry,
} from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { type Backend, deadPort, startBackend } from "../fakes/backend.js";
import { opened } from "../opened.js";

type Answer = Parameters<typeof startBackend>[0];

describe("a call by name", () => {
  it("reaches every instance in turn", async () => {
    const { orders, backends } = await start([undefined, undefined, undefined]);
    for (let call = 0; call < 9; call++) await (await orders.fetch("/v1/orders")).text();
    assert.deepEqual(
      backends.map(({ requests }) => requests.length),
      [3, 3, 3],
    );
  });

  it("works with Node's own fetch, undici's request and the service's own", async () => {
    const { resolver, orders, backends } = await start([undefined]);
    const port = String(backends[0]?.port);
    const dispatcher = resolver.dispatcher();
    assert.equal(await (await fetch("http://orders/a", { dispatcher } as never)).text(), port);
    assert.equal(await (await request("http://orders/b", { dispatcher })).body.text(), port);
    assert.equal(await (await orders.request("/c", { query: { d: "1" } })).body.text(), port);
    assert.equal(await (await resolver.fetch("http://orders/e")).text(), port);
    assert.deepEqual(backends[0]?.requests, ["GET /a", "GET /b", "GET /c?d=1", "GET /e"]);
  });

  it("passes other hosts on untouched", async () => {
    const { resolver } = await start([undefined]);
    const other = await backend(undefined);
    const dispatcher = resolver.dispatcher();
    assert.equal(
      await (await fetch(`http://127.0.0.1:${other.port}/`, { dispatcher } as never)).text(),
      String(other.port),
    );
    assert.equal(
      await (await request(`http://localhost:${other.port}/`, { dispatcher })).body.text(),
      String(other.port),
    );
  });

  it("never lets a service's name fall through to DNS", async () => {
    const { resolver } = await start([undefined]);
    await assert.rejects(request("http://nobody/", { dispatcher: resolver.dispatcher() }), coded("SERVICE_UNKNOWN"));
  });

  it("goes on elsewhere when nobody listens, whatever the method", async () => {
    const { orders, backends } = await start([undefined], [await deadPort(), await deadPort()]);
    for (let call = 0; call < 6; call++) {
      const response = await orders.request("/", { method: "POST", body: Readable.from(["streamed"]) });
      assert.equal(response.statusCode, 200);
      await response.body.dump();
    }
    assert.equal(backends[0]?.requests.length, 6);
  });

  it("asks a refused instance no more, until it is time for a trial", async () => {
    const { orders } = await start([undefined], [await deadPort()]);
    const ejected: string[] = [];
    orders.on("ejected", ({ instance, cause }) => ejected.push(`${instance.port} ${cause}`));
    for (let call = 0; call < 20; call++) await (await orders.fetch("/")).text();
    assert.equal(ejected.length, 1);
    assert.match(ejected[0] ?? "", /refused$/);
  });

  it("does not send a POST again whose connection was reset after it was sent", async () => {
    const { orders, backends } = await start([resets, resets]);
    await assert.rejects(
      orders.request("/", { method: "POST", body: "once" }),
      coded("UNAVAILABLE", /POST is not sent twice/),
    );
    assert.equal(total(backends), 1);
  });

  it("sends a GET again whose connection was reset, and a POST that says it is idempotent", async () => {
    const { orders, backends } = await start([resets, undefined]);
    for (let call = 0; call < 4; call++) assert.equal((await orders.fetch("/")).status, 200);
    const response = await orders.fetch("/", { method: "POST", body: "again", idempotent: true });
    assert.equal(await response.text(), String(backends[1]?.port));
  });

  it("does not send a stream again that was read", async () => {
    const { orders, backends } = await start([resets, resets]);
    const body = Readable.from(["read once"]);
    await assert.rejects(orders.request("/", { method: "PUT", body }), coded("UNAVAILABLE", /stream that was read/));
    assert.equal(total(backends), 1);
  });

  it("asks elsewhere after 503, and gives the answer if everybody says so", async () => {
    const { orders } = await start([overloaded, undefined]);
    for (let call = 0; call < 4; call++) assert.equal((await orders.fetch("/")).status, 200);
    const all = await start([overloaded, overloaded]);
    const response = await all.orders.fetch("/");
    assert.equal(response.status, 503);
    assert.equal(await response.text(), "busy");
    assert.equal(total(all.backends), 2);
  });

  it("tries at most three times", async () => {
    const { orders, backends } = await start([resets, resets, resets, resets, resets]);
    await assert.rejects(orders.fetch("/"), coded("UNAVAILABLE", /after 3 tries/));
    assert.equal(total(backends), 3);
  });

  it("gives a try its time and the next instance its chance", async () => {
    const clock = new ManualClock();
    const { orders, backends } = await start([silent, undefined], [], { tryTimeoutMs: 60, clock, random: () => 0 });
    for (let call = 0; call < 4; call++) {
      const answer = orders.fetch("/");
      await asked(backends, total(backends) + 1);
      await clock.advance(60);
      await clock.advance(30); // the pause, 25 ms at most
      assert.equal((await answer).status, 200);
    }
  });

  it("says TIMEOUT when nobody answers in time", async () => {
    const clock = new ManualClock();
    const { orders, backends } = await start([silent], [], { tryTimeoutMs: 60, clock });
    const failed = assert.rejects(orders.fetch("/"), coded("TIMEOUT", /no response headers within 60 ms/));
    await asked(backends, 1);
    await clock.advance(60);
    await failed;
  });

  it("ends at the time for the whole call", async () => {
    const clock = new ManualClock();
    const times = { timeoutMs: 120, tryTimeoutMs: 80 };
    const { orders, backends } = await start([silent, silent, silent], [], { ...times, clock, random: () => 0 });
    const failed = assert.rejects(orders.fetch("/"), coded("TIMEOUT", /Its 120 ms are over/));
    await asked(backends, 1);
    await clock.advance(80);
    await clock.advance(30); // the pause, 25 ms at most
    await asked(backends, 2);
    await clock.advance(10);
    await failed;
    assert.equal(total(backends), 2);
  });

  it("ejects an instance that keeps failing, and never the last", async () => {
    const { orders, backends } = await start([broken, undefined]);
    for (let call = 0; call < 40; call++) await (await orders.fetch("/")).text();
    assert.equal(backends[0]?.requests.length, 5);
    const lonely = await start([broken]);
    for (let call = 0; call < 20; call++) assert.equal((await lonely.orders.fetch("/")).status, 500);
  });

  it("leaves an instance alone for as long as it asks with Retry-After", async () => {
    const asks: Answer = (_request, response) => void response.writeHead(503, { "Retry-After": "20" }).end("busy");
    const { orders, backends } = await start([asks, undefined, undefined]);
    const pauses: string[] = [];
    orders.on("ejected", ({ cause, pauseMs }) => pauses.push(`${cause} ${pauseMs >= 20_000 && pauseMs < 26_000}`));
    for (let call = 0; call < 12; call++) assert.equal((await orders.request("/")).statusCode, 200);
    assert.deepEqual(pauses, ["overloaded true"]);
    assert.equal(backends[0]?.requests.length, 1);
  });

  it("loses no call and no measurement when the balancer is changed under load", async () => {
    const late: Answer = (_request, response) => void setImmediate(() => response.end("late"));
    const { orders, backends } = await start([late, late, late]);
    await orders.ready();
    const [endpoint] = orders.endpoints;
    let left = 600;
    const lane = async (): Promise<void> => {
      while (left-- > 0) {
        if (left % 20 === 0) orders.setBalancer(left % 40 === 0 ? "round-robin" : roundRobin());
        const { statusCode, body } = await orders.request("/");
        assert.equal(statusCode, 200);
        await body.dump();
      }
    };
    await Promise.all(Array.from({ length: 16 }, lane));
    assert.equal(total(backends), 600);
    assert.equal(orders.endpoints[0], endpoint);
    assert.deepEqual(
      orders.endpoints.map(({ load }) => [load.inFlight, load.failures, load.latencyMs > 0]),
      Array(3).fill([0, 0, true]),
    );
    assert.equal(
      orders.endpoints.reduce((sum, { load }) => sum + load.calls, 0),
      600,
    );
  });

  it("fails with OVERLOADED when every instance is at its limit of calls in flight", async () => {
    const { orders } = await start([silent, silent], [], { maxInFlight: 1 });
    await orders.ready();
    const halt = new AbortController();
    const waiting = [1, 2].map(() => orders.request("/", { signal: halt.signal }).catch(() => {}));
    await assert.rejects(orders.request("/"), coded("OVERLOADED"));
    await assert.rejects(orders.fetch("/"), coded("OVERLOADED"));
    halt.abort();
    await Promise.all(waiting);
  });

  it("hands on the caller's own abort untouched, while it waits and while it reads", async () => {
    const { orders } = await start([silent]);
    await orders.ready();
    const reason = new Error("mine");
    const halt = new AbortController();
    const call = orders.request("/", { signal: halt.signal });
    halt.abort(reason);
    await assert.rejects(call, (error) => error === reason);
    assert.equal(orders.endpoints[0]?.load.inFlight, 0);
    assert.equal(orders.endpoints[0]?.load.failures, 0);
  });

  it("counts a call in flight until its body has ended", async () => {
    const { orders } = await start([(_request, response) => void response.write("begun")]);
    const { body } = await orders.request("/");
    assert.equal(orders.endpoints[0]?.load.inFlight, 1);
    body.destroy();
    body.on("error", () => {});
    await new Promise((resolve) => body.once("close", resolve));
    assert.equal(orders.endpoints[0]?.load.inFlight, 0);
  });

  it("streams a long answer past the time of a try", async () => {
    const clock = new ManualClock();
    const { orders } = await start([drips], [], { tryTimeoutMs: 50, clock });
    const response = await orders.fetch("/");
    await clock.advance(500);
    assert.equal(await response.text(), "0123456789");
  });

  it("tells three ways of finding nobody apart", async () => {
    const { resolver } = await start([undefined]);
    await assert.rejects(
      resolver.service("unknown").fetch("/"),
      coded("SERVICE_UNKNOWN", /knows no service "unknown"/),
    );
    const empty = createResolver({
      registry: { ...staticRegistry([]), list: async () => ({ type: "reset", instances: [] }) },
    });
    opened.push(empty);
    await assert.rejects(empty.service("orders").fetch("/"), coded("NO_INSTANCES", /0 known/));
    const away = createResolver({ registry: `http://127.0.0.1:${await deadPort()}`, waitMs: 50 });
    opened.push(away);
    await assert.rejects(
      away.service("orders").fetch("/"),
      coded("UNAVAILABLE", /not told of "orders" within 50 ms: .*ECONNREFUSED.*is it running/),
    );
  });

  it("refuses wrong options by name, with a hint", async () => {
    const registry = staticRegistry([]);
    assert.throws(
      () => createResolver({ registry, tryTimoutMs: 5 } as never),
      coded("INVALID_OPTION", /did you mean tryTimeoutMs/),
    );
    assert.throws(
      () => createResolver({ registry, timeoutMs: -1 }),
      coded("INVALID_OPTION", /resolver\.timeoutMs must be/),
    );
    assert.throws(() => createResolver({ registry: "gopher://x" }), coded("INVALID_OPTION", /resolver\.registry/));
    const { orders } = await start([undefined]);
    await assert.rejects(orders.fetch("no/slash"), coded("INVALID_OPTION", /path must be/));
  });

  it("shows instances their own address as Host, or the service's name if asked", async () => {
    const hosts: (string | undefined)[] = [];
    const tells: Answer = (incoming, response) => {
      hosts.push(incoming.headers.host);
      response.end();
    };
    const { orders, backends } = await start([tells]);
    await (await orders.fetch("/")).text();
    const named = await start([tells], [], { authority: "service" });
    await (await named.orders.fetch("/")).text();
    assert.deepEqual(hosts, [`127.0.0.1:${backends[0]?.port}`, "orders"]);
  });

  it("says CLOSED to the calls it is closed over", async () => {
    const { resolver, orders } = await start([silent]);
    const call = orders.request("/");
    await new Promise((resolve) => setImmediate(resolve));
    await resolver.close();
    await assert.rejects(call, coded("CLOSED"));
    assert.equal(orders.endpoints[0]?.load.inFlight, 0);
  });

  it("leaves nothing behind when it is closed", async () => {
    const { resolver, orders } = await start([undefined]);
    await (await orders.fetch("/")).text();
    await resolver.close();
    await resolver.close();
    assert.throws(() => resolver.service("others"), coded("CLOSED"));
    await assert.rejects(orders.pick(), coded("CLOSED"));
  });
});

describe("a selection", () => {
  it("tells who to talk to and takes back how it went", async () => {
    const { orders, backends } = await start([undefined]);
    const selection = await orders.pick();
    assert.equal(selection.url, `http://127.0.0.1:${backends[0]?.port}`);
    assert.equal(orders.endpoints[0]?.load.inFlight, 1);
    selection.report("success");
    selection.release();
    selection.release();
    assert.equal(orders.endpoints[0]?.load.inFlight, 0);
    assert.ok((orders.endpoints[0]?.load.latencyMs ?? -1) >= 0);
  });

  it("counts as cancelled when nobody reported", async () => {
    const { orders } = await start([undefined]);
    await orders.ready();
    orders.pickNow().release();
    assert.equal(orders.endpoints[0]?.load.failures, 0);
    assert.ok((orders.endpoints[0]?.load.latencyMs ?? 0) < 0);
  });
});

describe("a call in its pause before another try", () => {
  it("opens no connection any more once the resolver is closed", async () => {
    const clock = new ManualClock();
    const { resolver, orders, backends } = await start([overloaded, overloaded], [], { clock });
    const pausing = new Promise((resolve) => subscribe("discovery:retry", resolve));
    const failed = assert.rejects(orders.request("/"), coded("CLOSED"));
    await pausing;
    await resolver.close();
    await clock.advance(1_000); // the second try is due
    await failed;
    assert.equal(total(backends), 1);
  });
});

async function start(answers: (Answer | undefined)[], dead: number[] = [], options: CreateResolverOptions = {}) {
  const backends: Backend[] = [];
  for (const answer of answers) backends.push(await backend(answer));
  const ports = [...backends.map(({ port }) => port), ...dead];
  const registry = staticRegistry(ports.map((port) => ({ service: "orders", host: "127.0.0.1", port })));
  const resolver = createResolver({ registry, ...options });
  opened.push(resolver);
  return { resolver, orders: resolver.service("orders"), backends };
}

async function backend(answer: Answer | undefined): Promise<Backend> {
  const started = await startBackend(answer);
  opened.push(started);
  return started;
}

function coded(code: string, message = /./): (error: unknown) => boolean {
  return (error) => DiscoveryError.is(error) && error.code === code && message.test(error.message);
}

function total(backends: readonly Backend[]): number {
  return backends.reduce((sum, { requests }) => sum + requests.length, 0);
}

/** Resolves when that many requests have come: while a test holds the clock, nothing else passes meanwhile. */
async function asked(backends: readonly Backend[], count: number): Promise<void> {
  while (total(backends) < count) await new Promise((resolve) => setImmediate(resolve));
}

const resets: Answer = (incoming) => {
  incoming.resume();
  incoming.once("end", () => incoming.socket.resetAndDestroy());
};
const silent: Answer = () => {};
const broken: Answer = (_request, response) => void response.writeHead(500).end("broken");
const overloaded: Answer = (_request, response) => void response.writeHead(503).end("busy");
const drips: Answer = (_request, response) => {
  let digit = 0;
  const drip = setInterval(() => {
    response.write(String(digit++));
    if (digit === 10) {
      clearInterval(drip);
      response.end();
    }
  }, 15);
};
