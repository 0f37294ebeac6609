import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import fc from "fast-check";
import { afterEach, describe, it } from "vitest";
import { Hedging } from "../../src/client/hedging.js";
import { type CreateResolverOptions, createResolver, DiscoveryError, staticRegistry } from "../../src/index.js";
import { type Backend, startBackend } from "../fakes/backend.js";

type Answer = Parameters<typeof startBackend>[0];
const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

describe("the time after which a call is hedged", () => {
  it("is unknown until fifty calls were answered", () => {
    const hedging = new Hedging({});
    for (let call = 0; call < 49; call++) hedging.answered(10);
    assert.equal(hedging.delayMs, Number.POSITIVE_INFINITY);
    for (let call = 0; call < 40; call++) hedging.answered(10);
    assert.ok(hedging.delayMs >= 10 && hedging.delayMs < 11.1);
  });

  it("is the quantile of what calls took, at most a tenth too high", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.2, max: 60_000, noNaN: true }), { minLength: 64, maxLength: 320 }),
        fc.double({ min: 0.5, max: 0.999, noNaN: true }),
        (given, quantile) => {
          const hedging = new Hedging({ quantile });
          const times = given.slice(0, 50 + 32 * Math.floor((given.length - 50) / 32)); // when it is worked out anew;
          for (const ms of times) hedging.answered(ms);
          const exact = times.sort((a, b) => a - b)[Math.ceil(times.length * quantile) - 1] as number;
          assert.ok(
            hedging.delayMs >= exact * 0.999 && hedging.delayMs <= exact * 1.101,
            `${hedging.delayMs} ${exact}`,
          );
        },
      ),
    );
  });

  it("follows a service that becomes slower", () => {
    const hedging = new Hedging({});
    for (let call = 0; call < 10_000; call++) hedging.answered(10);
    for (let call = 0; call < 2_000; call++) hedging.answered(100);
    assert.ok(hedging.delayMs >= 100);
  });

  it("is what the options say", () => {
    assert.equal(new Hedging({ afterMs: 40 }).delayMs, 40);
    for (const hedge of [7, { after: 1 }, { quantile: 1 }, { afterMs: -1 }]) {
      assert.throws(
        () => createResolver({ registry: staticRegistry([]), hedge: hedge as never }),
        (error) => DiscoveryError.is(error, "INVALID_OPTION") && /^resolver\.hedge/.test(error.message),
      );
    }
  });
});

describe("a hedged call", () => {
  it("takes the first answer, and ends the other try without blaming its instance", async () => {
    const { orders, backends } = await start([silent, undefined], { hedge: { afterMs: 20 } });
    for (let call = 0; call < 4; call++) {
      assert.equal(await (await orders.fetch("/")).text(), String(backends[1]?.port));
    }
    const [slow] = orders.endpoints.filter(({ instance }) => instance.port === backends[0]?.port);
    assert.deepEqual([slow?.load.inFlight, slow?.load.failures], [0, 0]);
    assert.equal(slow?.ejection.cause, undefined);
    assert.ok((backends[0]?.requests.length ?? 0) >= 2);
  });

  it("keeps the first try when that answers first after all", async () => {
    const late: Answer = (_request, response) => void setTimeout(() => response.end("late"), 60);
    const { orders } = await start([late, silent], { hedge: { afterMs: 20 } });
    for (let call = 0; call < 2; call++) assert.equal(await (await orders.fetch("/")).text(), "late");
    assert.ok(orders.endpoints.every(({ load }) => load.inFlight === 0 && load.failures === 0));
  });

  it("is one that may be sent twice, and no other", async () => {
    const answer = gate(1);
    const { orders, backends } = await start([answer.when, answer.when], { hedge: { afterMs: 10 } });
    await (await orders.fetch("/", { method: "POST", body: "once" })).text();
    assert.equal(total(backends), 1);
    await (await orders.fetch("/", { tries: 1 })).text();
    assert.equal(total(backends), 2);
    answer.come = 2;
    await (await orders.fetch("/", { method: "POST", body: "twice", idempotent: true })).text();
    assert.equal(total(backends), 4);
  });

  it("is asked at two instances at most, and only within the retry budget", async () => {
    const answer = gate(2);
    const { orders, backends } = await start([answer.when, answer.when, answer.when], { hedge: { afterMs: 5 } });
    await (await orders.fetch("/")).text();
    assert.equal(total(backends), 2);
    answer.come = 1;
    while (orders.budget.take(performance.now()));
    await (await orders.fetch("/")).text();
    assert.equal(total(backends), 3);
  });

  it("waits for the other try when one is refused with 503, and goes on elsewhere when both are", async () => {
    const busyLate: Answer = (_request, response) => void setTimeout(() => response.writeHead(503).end("busy"), 40);
    const one = await start([busyLate, late60], { hedge: { afterMs: 10 } });
    for (let call = 0; call < 2; call++) {
      const response = await one.orders.fetch("/");
      assert.deepEqual([response.status, await response.text()], [200, "late"]);
    }
    const both = await start([busyLate, busyLate, undefined], { hedge: { afterMs: 10 } });
    for (let call = 0; call < 3; call++) assert.equal((await both.orders.fetch("/")).status, 200);
  });

  it("fails once, when both tries have", async () => {
    const sockets: Socket[] = [];
    const cut: Answer = ({ socket }) => {
      if (sockets.push(socket) === 2) for (const each of sockets) each.resetAndDestroy();
    };
    const { orders, backends } = await start([cut, cut], { hedge: { afterMs: 10 } });
    await assert.rejects(orders.fetch("/"), (error) => DiscoveryError.is(error, "UNAVAILABLE"));
    assert.equal(total(backends), 2);
    assert.ok(orders.endpoints.every(({ load }) => load.inFlight === 0));
  });

  it("ends both tries when the caller gives up", async () => {
    const { orders, backends } = await start([silent, silent], { hedge: { afterMs: 10 } });
    const halt = new AbortController();
    const call = orders.request("/", { signal: halt.signal });
    while (total(backends) < 2) await new Promise((resolve) => setImmediate(resolve));
    const reason = new Error("mine");
    halt.abort(reason);
    await assert.rejects(call, (error) => error === reason);
    assert.ok(orders.endpoints.every(({ load }) => load.inFlight === 0 && load.failures === 0));
  });
});

/** Answers 60 ms after so many requests have come, however late that is on a busy machine. */
function gate(come: number) {
  const waiting: ServerResponse[] = [];
  const open = {
    come,
    when: ((_request, response) => {
      if (waiting.push(response) < open.come) return;
      setTimeout(() => waiting.splice(0).map((each) => each.end("late")), 60);
    }) as NonNullable<Answer>,
  };
  return open;
}

async function start(answers: (Answer | undefined)[], options: CreateResolverOptions) {
  const backends: Backend[] = [];
  for (const answer of answers) backends.push(await startBackend(answer));
  opened.push(...backends);
  const registry = staticRegistry(backends.map(({ port }) => ({ service: "orders", host: "127.0.0.1", port })));
  const resolver = createResolver({ registry, ...options });
  opened.push(resolver);
  return { resolver, orders: resolver.service("orders"), backends };
}

function total(backends: readonly Backend[]): number {
  return backends.reduce((sum, { requests }) => sum + requests.length, 0);
}

const silent: Answer = () => {};
const late60: Answer = (_request, response) => void setTimeout(() => response.end("late"), 60);
