import assert from "node:assert/strict";
import { afterEach, describe, it } from "vitest";
import {
  type CreateResolverOptions,
  createResolver,
  DiscoveryError,
  defineInstance,
  type InstanceInput,
} from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { faultyRegistry } from "../fakes/registrar.js";

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe("explain", () => {
  it("says for each instance which stage keeps it in or out, and why", async () => {
    const { orders, resolver } = await start(
      [
        { version: "1.2.0", zone: "near" },
        { version: "1.2.0", zone: "near" },
        { version: "2.0.0", zone: "near" },
        { version: "1.2.0", zone: "far" },
        { version: "1.3.0", zone: "near", status: "draining" },
        { version: "1.3.0", zone: "near", status: "starting" },
        { version: "1.2.0", zone: "near" },
      ],
      { services: { orders: { version: "^1", zone: "near" } } },
    );
    orders.endpoints[1]?.settle("refused", 1, 0);
    const { instances, counts, tier, balancer } = resolver.explain("orders");
    assert.deepEqual(
      instances.map(({ stage, why }) => [stage, why]),
      [
        ["usable", ""],
        ["ejected", "refused, to be tried in 1000 ms"],
        ["version", "is not of version ^1"],
        ["zone", "zone near can carry it alone"],
        ["tier", "draining is worse than healthy"],
        ["status", "starting: not yet ready for calls"],
        ["usable", ""],
      ],
    );
    assert.deepEqual(counts, { known: 7, usable: 2, ejected: 1, version: 1, zone: 1, tier: 1, status: 1 });
    assert.deepEqual([tier, balancer], ["healthy", "round-robin"]);
  });

  it("is plain data, and a few lines for people", async () => {
    const { orders } = await start([{}, { weight: 3 }]);
    orders.pickNow();
    const explanation = orders.explain();
    assert.deepEqual(JSON.parse(JSON.stringify(explanation)).instances.length, 2);
    assert.match(String(explanation), /^orders: 2 of 2 usable · round-robin · faulty\n/);
    assert.match(String(explanation), /\n {2}orders@127\.0\.0\.1:3001 +usable +weight 3 · /);
  });

  it("tells how long a trial is still away, and what the weights have become", async () => {
    const { clock, orders } = await start([{ version: "v1" }, { version: "v2" }], {
      split: { version: { v1: 95, v2: 5 } },
    });
    assert.deepEqual(
      orders.explain().instances.map(({ effectiveWeight }) => Number(effectiveWeight.toFixed(6))),
      [1.9, 0.1],
    );
    orders.endpoints[0]?.settle("refused", 1, 0);
    await clock.advance(400);
    assert.deepEqual(orders.explain().instances[0]?.ejection, { cause: "refused", remainingMs: 600, onTrial: false });
    assert.equal(orders.explain().instances[1]?.effectiveWeight, 1);
  });

  it("does not change who is picked", async () => {
    const { orders } = await start([{}, {}, {}]);
    const before = orders.pickNow().instance.port;
    orders.explain();
    const picks = [before, orders.pickNow().instance.port, orders.pickNow().instance.port];
    assert.equal(new Set(picks).size, 3);
  });
});

describe("an error about nobody", () => {
  it("says NO_MATCH when the filters left nobody, with what each one left", async () => {
    const { orders } = await start([{ version: "1.0.0", tags: ["a"] }, { tags: ["a"] }, {}], {
      tags: ["a"],
      version: "^2",
    });
    assert.throws(
      () => orders.pickNow(),
      (error) => {
        assert.ok(DiscoveryError.is(error, "NO_MATCH"));
        assert.deepEqual(error.counts, { known: 3, tags: 2, version: 0 });
        return /is of version \^2; left by each filter: 3 known, 2 tags, 0 version/.test(error.message);
      },
    );
  });

  it("says NO_INSTANCES when those who match cannot be called, with where they stand", async () => {
    const { orders } = await start([{ tags: ["a"], status: "starting" }, {}], { tags: ["a"] });
    assert.throws(
      () => orders.pickNow(),
      (error) => {
        assert.ok(DiscoveryError.is(error, "NO_INSTANCES"));
        assert.deepEqual(error.counts, { known: 2, tags: 1, starting: 1 });
        return true;
      },
    );
  });

  it("says OVERLOADED, without waiting, when all are at the limit of calls in flight", async () => {
    const { orders } = await start([{}, {}], { maxInFlight: 2 });
    const selections = Array.from({ length: 4 }, () => orders.pickNow());
    await assert.rejects(orders.pick(), (error) => {
      assert.ok(DiscoveryError.is(error, "OVERLOADED"));
      assert.equal(error.retryable, true);
      assert.deepEqual(error.counts, { known: 2, atLimit: 2, inFlight: 4 });
      return true;
    });
    selections[0]?.release();
    assert.equal(orders.pickNow().instance.port, selections[0]?.instance.port);
  });
});

describe("what the options of a service say", () => {
  it("holds for that service, goes before the resolver's, and outlives its balancer", async () => {
    const { orders, resolver, clock, register } = await start([{ tags: ["a"] }, { tags: ["b"] }], {
      tags: ["a"],
      services: { orders: { tags: ["b"] } },
    });
    assert.equal(orders.pickNow().instance.port, 3_001);
    orders.setBalancer("round-robin");
    for (let pick = 0; pick < 4; pick++) assert.equal(orders.pickNow().instance.port, 3_001);
    await register({ service: "carts", tags: ["b"] }, 4_000);
    const carts = resolver.service("carts");
    await clock.advance(10);
    assert.throws(
      () => carts.pickNow(),
      (error) => DiscoveryError.is(error, "NO_MATCH"),
    );
  });

  it("raises a newcomer's weight by a timer, and lets go of it", async () => {
    const { clock, orders, register } = await start([{}, {}], { slowStartMs: 10_000 });
    await register({}, 3_002);
    await clock.advance(10);
    const weights: number[] = [];
    for (let second = 0; second <= 10; second++) {
      weights.push(Number((orders.endpoints[2]?.weight ?? 0).toFixed(1)));
      await clock.advance(1_000);
    }
    assert.deepEqual(weights, [0.1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]);
    const counts = new Map<number, number>();
    for (let pick = 0; pick < 30; pick++) {
      const { port } = orders.pickNow().instance;
      counts.set(port, (counts.get(port) ?? 0) + 1);
    }
    assert.deepEqual([...counts.values()], [10, 10, 10]);
  });

  it("refuses a balancer nobody knows, by value and by name", async () => {
    const { orders } = await start([{}]);
    for (const wrong of ["best-of-all", {}, undefined]) {
      assert.throws(
        () => orders.setBalancer(wrong as never),
        (error) =>
          DiscoveryError.is(error, "INVALID_OPTION") &&
          /^balancer ("best-of-all" is no balancer|must be)/.test(error.message),
      );
    }
    assert.throws(
      () =>
        createResolver({
          registry: faultyRegistry(new ManualClock()).registry,
          services: { a: { balancer: "x" as never } },
        }),
      (error) => DiscoveryError.is(error, "INVALID_OPTION") && /^resolver\.services\.a\.balancer/.test(error.message),
    );
  });
});

async function start(fields: readonly Partial<InstanceInput>[], options: CreateResolverOptions = {}) {
  const clock = new ManualClock();
  const faulty = faultyRegistry(clock);
  const register = (each: Partial<InstanceInput>, port: number): Promise<unknown> =>
    faulty.memory.register(defineInstance({ service: "orders", host: "127.0.0.1", port, ...each }), {
      ttlMs: 86_400_000,
      signal: new AbortController().signal,
    });
  for (const [index, each] of fields.entries()) await register(each, 3_000 + index);
  const resolver = createResolver({ registry: faulty.registry, clock, random: () => 0.5, ...options });
  opened.push(resolver);
  const orders = resolver.service("orders");
  await clock.advance(10);
  return { clock, faulty, resolver, orders, register };
}
