import assert from "node:assert/strict";
import { subscribe } from "node:diagnostics_channel";
import type { ServerResponse } from "node:http";
import { PassThrough, Readable } from "node:stream";
import { connect } from "undici";
import { describe, it } from "vitest";
import { verdictOn } from "../../src/client/failure.js";
import type { Endpoint } from "../../src/endpoint/endpoint.js";
import {
  type Balancer,
  type CreateResolverOptions,
  createResolver,
  DiscoveryError,
  defineInstance,
  type ErrorCode,
  type ServiceClient,
} from "../../src/index.js";
import type { RegistryUpdate } from "../../src/model/update.js";
import { ManualClock } from "../../src/testing/index.js";
import { type Backend, startBackend } from "../fakes/backend.js";
import { scriptedRegistry } from "../fakes/scripted-registry.js";
import { opened } from "../opened.js";

type Answer = NonNullable<Parameters<typeof startBackend>[0]>;

type Chunks = AsyncGenerator<string | Buffer>;
/** The ways of sending what somebody yields bit by bit. */
const slowBodies: readonly (readonly [string, (orders: ServiceClient, chunks: Chunks) => Promise<unknown>])[] = [
  ["a stream", (orders, chunks) => orders.request("/", { method: "PUT", body: Readable.from(chunks) })],
  ["a generator", (orders, chunks) => orders.request("/", { method: "PUT", body: chunks as never })],
  ["fetch", (orders, chunks) => orders.fetch("/", { method: "PUT", body: chunks as never, duplex: "half" })],
];

describe("a body that fails where it comes from", () => {
  it("blames nobody and is sent to nobody else when it fails before it is connected", async () => {
    const { orders, total } = await start([plain, plain]);
    for (let call = 0; call < 6; call++) {
      const body = new PassThrough();
      const failed = assert.rejects(orders.request("/", { method: "PUT", body }), /the source is gone/);
      body.destroy(new Error("the source is gone"));
      await failed;
    }
    assert.equal(total(), 0);
    assert.ok(orders.endpoints.every(isBlameless));
  });

  it("blames nobody when it fails on the way, like a client that goes away in the middle of its upload", async () => {
    const { orders, asked } = await start([silent, silent]);
    for (let call = 0; call < 6; call++) {
      const body = new PassThrough();
      body.write("begun");
      const failed = assert.rejects(orders.request("/", { method: "PUT", body }), /aborted/);
      await asked(call + 1);
      body.destroy(Object.assign(new Error("aborted"), { code: "ECONNRESET" }));
      await failed;
    }
    assert.ok(orders.endpoints.every(isBlameless));
  });

  it("blames nobody when it just ends, or is no stream of Node's", async () => {
    const { orders, asked } = await start([silent, silent]);
    const body = new PassThrough();
    body.write("begun");
    const ended = assert.rejects(orders.request("/", { method: "POST", body }));
    await asked(1);
    body.destroy();
    await ended;
    const broken = (async function* () {
      yield "begun";
      throw new Error("the generator's own");
    })();
    await assert.rejects(orders.request("/", { method: "PUT", body: Readable.from(broken) }), /the generator's own/);
    assert.ok(orders.endpoints.every(isBlameless));
  });

  for (const [name, send] of slowBodies)
    it(`blames nobody for what the source says, be it as a socket would (${name})`, async () => {
      const { orders } = await start([silent, silent]);
      const broken = async function* () {
        yield "begun";
        throw Object.assign(new Error("the upload's own"), { code: "ECONNRESET" });
      };
      for (let call = 0; call < 6; call++) await assert.rejects(send(orders, broken()));
      assert.ok(orders.endpoints.every(isBlameless));
    });
});

describe("a body that cannot be sent", () => {
  const bodies: readonly (readonly [string, () => unknown, RegExp])[] = [
    ["is read by somebody else", readElsewhere, /locked/],
    ["fails without a reason", () => new ReadableStream({ pull: (source) => source.error() }), /does not say why/],
    ["is made of what are no bytes", () => new ReadableStream({ pull: (source) => source.enqueue(5) }), /type number/],
  ];
  for (const [what, body, message] of bodies)
    it(`blames nobody when it ${what}`, async () => {
      const { orders } = await start([plain], { timeoutMs: 1_000 });
      await assert.rejects(orders.request("/", { method: "PUT", body: body() as never }), message);
      assert.ok(orders.endpoints.every(isBlameless));
    });
});

describe("a body that comes slowly", () => {
  for (const [name, send] of slowBodies)
    it(`runs off its caller's time and blames nobody who has not seen all of it (${name})`, async () => {
      const clock = new ManualClock();
      const { orders, asked } = await start([silent, silent], { clock, tryTimeoutMs: 100 });
      const failed = assert.rejects(send(orders, slowly()), coded("TIMEOUT"));
      await asked(1);
      await clock.advance(100);
      await failed;
      assert.ok(orders.endpoints.every(isBlameless));
    });

  for (const [name, send] of slowBodies)
    it(`is the instance's to take where that takes no more of it (${name})`, async () => {
      const clock = new ManualClock();
      const { orders, asked } = await start([silent], { clock, tryTimeoutMs: 100 });
      let [pulled, before] = [0, -1];
      const more = async function* () {
        for (; pulled < 1_000; pulled++) yield Buffer.alloc(65_536); // fetch reads on when the call is over
      };
      const failed = assert.rejects(send(orders, more()), coded("TIMEOUT"));
      await asked(1);
      for (let still = 0; still < 20; still = pulled === before ? still + 1 : 0) {
        before = pulled;
        await turn();
      }
      await clock.advance(100);
      await failed;
      assert.ok(before < 1_000);
      assert.equal(orders.endpoints[0]?.load.failures, 1);
    });

  it("is the instance's to answer once it has all of it", async () => {
    const clock = new ManualClock();
    const { orders, asked } = await start([silent], { clock, tryTimeoutMs: 100 });
    let whole = false;
    const body = Readable.from(["all"]).once("close", () => (whole = true));
    const failed = assert.rejects(orders.request("/", { method: "PUT", body }), coded("TIMEOUT"));
    await asked(1);
    while (!whole) await turn();
    await turn();
    await clock.advance(100);
    await failed;
    assert.equal(orders.endpoints[0]?.load.failures, 1);
  });
});

describe("an answer that is dropped for another instance's", () => {
  it("holds its connection no longer than a try may take when it does not end", async () => {
    const clock = new ManualClock();
    let gone = 0;
    const endless: Answer = (_request, response) => {
      response.once("close", () => gone++);
      response.writeHead(503).write("busy");
    };
    const { orders, advanced } = await start([endless, plain], { clock, tryTimeoutMs: 100, random: () => 0 });
    for (const answer of [orders.request("/"), orders.request("/")]) await (await advanced(answer, 25)).body.dump();
    assert.equal(gone, 0);
    await clock.advance(100);
    while (gone === 0) await turn();
    assert.ok(orders.endpoints.every(({ load }) => load.inFlight === 0));
  });
});

describe("a trial", () => {
  it("is left for the next call by one that the retry budget forbids to go on", async () => {
    const clock = new ManualClock();
    const { orders, held, asked, backends } = await start([silent, plain], { clock });
    const [sick, back] = backends.map(({ port }) => orders.endpoints.find(({ instance }) => instance.port === port));
    back?.settle("refused", 1, clock.now());
    const failed = assert.rejects(orders.request("/"), coded("UNAVAILABLE", /retry budget/));
    await asked(1);
    await clock.advance(1_500); // the refused one may be tried again
    while (orders.budget.take(clock.now()));
    held[0]?.socket?.resetAndDestroy();
    await failed;
    assert.equal(await (await orders.request("/")).body.text(), String(back?.instance.port));
    assert.deepEqual([sick?.ejection.cause, back?.ejection.cause], [undefined, undefined]);
  });
});

describe("an instance that leaves in the pause before it is tried", () => {
  it("is not called where somebody else is left", async () => {
    const { orders, resolver, backends } = await leftInPause([overloaded, plain, plain]);
    assert.deepEqual(
      backends.map(({ requests }) => requests.length),
      [1, 0, 1],
    );
    await resolver.close();
    assert.ok(orders.endpoints.every(({ load }) => load.inFlight === 0));
  });

  it("is called where nobody else is, and its connections are closed after that", async () => {
    const { orders, backends } = await leftInPause([overloaded, plain]);
    assert.deepEqual(
      backends.map(({ requests }) => requests.length),
      [1, 1],
    );
    await turn();
    assert.equal(orders.ground.pools.size, 1);
  });
});

describe("a call that is given up in its pause", () => {
  it("leaves the trial it would have been to the next one", async () => {
    const clock = new ManualClock();
    const { orders, asked, held, backends } = await start([silent, plain], { clock });
    const back = orders.endpoints.find(({ instance }) => instance.port === backends[1]?.port);
    back?.settle("refused", 1, clock.now());
    const halt = new AbortController();
    const failed = assert.rejects(orders.request("/", { signal: halt.signal }), /enough/);
    await asked(1);
    await clock.advance(1_500); // the refused one may be tried again
    const pausing = new Promise<void>((resolve) => subscribe("discovery:retry", () => resolve()));
    held[0]?.socket?.resetAndDestroy();
    await pausing;
    halt.abort(new Error("enough"));
    await failed;
    assert.equal(await (await orders.request("/")).body.text(), String(backends[1]?.port));
  });
});

describe("trouble of this machine's own", () => {
  it("blames no instance: a name server that does not answer would take all of them out", () => {
    const away = Object.assign(new Error("getaddrinfo EAI_AGAIN"), { code: "EAI_AGAIN" });
    assert.deepEqual(verdictOn(away, true, null), { outcome: "cancelled", again: "elsewhere" });
    const unknown = Object.assign(new Error("getaddrinfo ENOTFOUND"), { code: "ENOTFOUND" });
    assert.deepEqual(verdictOn(unknown, true, null), { outcome: "refused", again: "elsewhere" });
  });
});

describe("CONNECT", () => {
  it("is judged by its status as any other call is", async () => {
    const { orders, resolver, backends } = await start([plain]);
    backends[0]?.server.on("connect", (_request, socket) => void socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n"));
    const options = { path: "db:5432", dispatcher: resolver.dispatcher() } as Parameters<typeof connect>[1];
    const { statusCode, socket } = await connect("http://orders", options);
    socket.on("error", () => {}).destroy();
    assert.equal(statusCode, 502);
    assert.deepEqual([orders.endpoints[0]?.load.failures, orders.endpoints[0]?.load.inFlight], [1, 0]);
  });
});

const silent: Answer = () => {};
const overloaded: Answer = (_request, response) => void response.writeHead(503).end("busy");
const plain: Answer = (_request, response, { port }) => void response.end(String(port));

/** A call that has been refused by the first, and in whose pause the second has left. */
async function leftInPause(answers: readonly Answer[]) {
  const clock = new ManualClock();
  const all = await start(answers, { clock, random: () => 0.5, balancer: inOrder });
  const pausing = new Promise<void>((resolve) => subscribe("discovery:retry", () => resolve()));
  const answer = all.orders.request("/");
  await pausing;
  await all.leave(1);
  const { statusCode, body } = await all.advanced(answer, 250);
  await body.dump();
  assert.equal(statusCode, 200);
  return all;
}

/** Whoever was not tried, in the order of their ports. */
const inOrder: Balancer = {
  name: "in-order",
  create() {
    let usable: readonly Endpoint[] = [];
    return {
      update(_, now) {
        usable = [...now].sort((a, b) => a.instance.port - b.instance.port);
      },
      pick: (context) => usable.find((endpoint) => !context?.tried?.includes(endpoint)),
    };
  },
};

async function start(answers: readonly Answer[], options: CreateResolverOptions = {}) {
  const held: ServerResponse[] = [];
  const backends: Backend[] = [];
  const answer: Answer = (request, response, backend) => {
    held.push(response);
    answers[backends.indexOf(backend)]?.(request, response, backend);
  };
  for (const _ of answers) backends.push(await startBackend(answer));
  opened.push(...backends);
  backends.sort((a, b) => a.port - b.port);
  const scripted = scriptedRegistry();
  let revision = 0;
  const told = (gone: readonly number[]): RegistryUpdate => ({
    type: "reset",
    instances: backends
      .filter((_, index) => !gone.includes(index))
      .map(({ port }) => defineInstance({ service: "orders", host: "127.0.0.1", port })),
    position: `e:${++revision}`,
    epoch: "e",
  });
  scripted.list = async () => told([]);
  const resolver = createResolver({ registry: scripted.registry, massLoss: false, ...options });
  opened.push(resolver);
  const orders = resolver.service("orders");
  await orders.ready();
  const total = (): number => backends.reduce((sum, { requests }) => sum + requests.length, 0);
  const asked = async (times: number): Promise<void> => {
    while (total() < times) await turn();
  };
  const leave = async (...gone: readonly number[]): Promise<void> => {
    scripted.push(told(gone));
    while (orders.endpoints.length !== backends.length - gone.length) await turn();
  };
  /** What comes of it, while time passes in small steps. */
  const advanced = async <T>(result: Promise<T>, ms: number): Promise<T> => {
    const clock = options.clock as ManualClock;
    let isOver = false;
    const over = result.finally(() => (isOver = true));
    over.catch(() => {});
    for (let passed = 0; !isOver; await turn()) {
      if (passed++ < ms) await clock.advance(1);
    }
    return over;
  };
  return { resolver, orders, backends, held, total, asked, leave, advanced };
}

function isBlameless({ load, ejection }: Endpoint): boolean {
  return load.failures + load.inFlight + load.waiting + ejection.failuresInRow === 0 && ejection.cause === undefined;
}

function coded(code: ErrorCode, message = /./): (error: unknown) => boolean {
  return (error) => DiscoveryError.is(error, code) && message.test(error.message);
}

function readElsewhere(): ReadableStream {
  const stream = new ReadableStream();
  stream.getReader();
  return stream;
}

async function* slowly(): Chunks {
  yield "begun";
  await new Promise(() => {});
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
