import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import fc from "fast-check";
import { describe, it } from "vitest";
import { Hedging } from "../../src/client/hedging.js";
import { type CreateResolverOptions, createResolver, DiscoveryError, staticRegistry } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { type Backend, startBackend } from "../fakes/backend.js";
import { opened } from "../opened.js";

type Answer = Parameters<typeof startBackend>[0];

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
    const { orders, backends, clock, asked, total } = await start([silent, undefined], { hedge: { afterMs: 20 } });
    for (let call = 0; call < 4; call++) {
      const answer = orders.fetch("/");
      await asked(total() + 1);
      await clock.advance(20);
      assert.equal(await (await answer).text(), String(backends[1]?.port));
    }
    const [slow] = orders.endpoints.filter(({ instance }) => instance.port === backends[0]?.port);
    assert.deepEqual([slow?.load.inFlight, slow?.load.failures], [0, 0]);
    assert.equal(slow?.ejection.cause, undefined);
    assert.ok((backends[0]?.requests.length ?? 0) >= 2);
  });

  it("keeps the first try when that answers first after all", async () => {
    const { orders, held, hedged } = await start([silent, silent], { hedge: { afterMs: 20 } });
    const answer = orders.fetch("/");
    await hedged(20);
    held[0]?.end("late");
    assert.equal(await (await answer).text(), "late");
    assert.ok(orders.endpoints.every(({ load }) => load.inFlight === 0 && load.failures === 0));
  });

  it("is one that may be sent twice, and no other", async () => {
    const { orders, held, clock, asked, hedged, total } = await start([silent, silent], { hedge: { afterMs: 10 } });
    for (const options of [{ method: "POST", body: "once" }, { tries: 1 }]) {
      const before = total();
      const answer = orders.fetch("/", options);
      await asked(before + 1);
      await clock.advance(1_000);
      held.at(-1)?.end();
      await (await answer).text();
      assert.equal(total(), before + 1);
    }
    const answer = orders.fetch("/", { method: "POST", body: "twice", idempotent: true });
    await hedged(10);
    held.at(-1)?.end();
    await (await answer).text();
  });

  it("is asked at two instances at most, and only within the retry budget", async () => {
    const { orders, held, clock, asked, hedged, total } = await start([silent, silent, silent], {
      hedge: { afterMs: 5 },
    });
    const answer = orders.fetch("/");
    await hedged(5);
    await clock.advance(1_000);
    held[0]?.end();
    await (await answer).text();
    assert.equal(total(), 2);
    while (orders.budget.take(clock.now()));
    const next = orders.fetch("/");
    await asked(3);
    await clock.advance(1_000);
    held[2]?.end();
    await (await next).text();
    assert.equal(total(), 3);
  });

  it("waits for the other try when one is refused with 503", async () => {
    const { orders, held, hedged } = await start([silent, silent], { hedge: { afterMs: 10 } });
    const answer = orders.fetch("/");
    await hedged(10);
    held[0]?.writeHead(503).end("busy");
    while (orders.endpoints.every(({ load }) => load.failures === 0)) await turn();
    held[1]?.end("late");
    assert.deepEqual([(await answer).status, await (await answer).text()], [200, "late"]);
  });

  it("goes on elsewhere when both tries are refused with 503", async () => {
    const { orders, held, clock, asked, hedged } = await start([silent, silent, silent], { hedge: { afterMs: 10 } });
    const answer = orders.fetch("/");
    await hedged(10);
    for (const each of held.slice(0, 2)) each.writeHead(503).end("busy");
    while (orders.endpoints.filter(({ load }) => load.failures > 0).length < 2) await turn();
    await clock.advance(250); // the pause, at most
    await asked(3);
    held[2]?.end("third");
    assert.deepEqual([(await answer).status, await (await answer).text()], [200, "third"]);
  });

  it("fails once, when both tries have", async () => {
    const { orders, held, hedged, total } = await start([silent, silent], { hedge: { afterMs: 10 } });
    const failed = assert.rejects(orders.fetch("/"), (error) => DiscoveryError.is(error, "UNAVAILABLE"));
    await hedged(10);
    for (const { socket } of held) socket?.resetAndDestroy();
    await failed;
    assert.equal(total(), 2);
    assert.ok(orders.endpoints.every(({ load }) => load.inFlight === 0));
  });

  it("ends both tries when the caller gives up", async () => {
    const { orders, hedged } = await start([silent, silent], { hedge: { afterMs: 10 } });
    const halt = new AbortController();
    const reason = new Error("mine");
    const failed = assert.rejects(orders.request("/", { signal: halt.signal }), (error) => error === reason);
    await hedged(10);
    halt.abort(reason);
    await failed;
    assert.ok(orders.endpoints.every(({ load }) => load.inFlight === 0 && load.failures === 0));
  });
});

async function start(answers: (Answer | undefined)[], options: CreateResolverOptions) {
  const held: ServerResponse[] = [];
  const backends: Backend[] = [];
  for (const answer of answers) {
    const noted: Answer = (request, response, backend) => {
      held.push(response);
      answer?.(request, response, backend);
    };
    backends.push(await startBackend(answer && noted));
  }
  opened.push(...backends);
  const clock = new ManualClock();
  const registry = staticRegistry(backends.map(({ port }) => ({ service: "orders", host: "127.0.0.1", port })));
  const resolver = createResolver({ registry, clock, ...options });
  opened.push(resolver);
  const orders = resolver.service("orders");
  const total = (): number => backends.reduce((sum, { requests }) => sum + requests.length, 0);
  const asked = async (count: number): Promise<void> => {
    while (total() < count) await turn();
  };
  /** The call under way has come to one instance, and after that time to another. */
  const hedged = async (afterMs: number): Promise<void> => {
    const before = total();
    await asked(before + 1);
    await clock.advance(afterMs);
    await asked(before + 2);
  };
  return { orders, backends, clock, held, total, asked, hedged };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const silent: Answer = () => {};
