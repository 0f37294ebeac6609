import assert from "node:assert/strict";
import { afterEach, describe, it } from "vitest";
import { createResolver, DiscoveryError } from "../../src/index.js";
import { defineInstance } from "../../src/model/instance.js";
import { ManualClock } from "../../src/testing/index.js";
import { faultyRegistry } from "../fakes/registrar.js";

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe("a name that nobody knows", () => {
  it("is asked for ever less often, from every second to every ten", async () => {
    const { clock, faulty, resolver } = start();
    const nobody = resolver.service("nobody");
    const askedAt: number[] = [];
    const begun = clock.now();
    for (let call = 0; call < 300; call++) {
      faulty.calls.length = 0;
      await assert.rejects(calling(nobody.pick(), clock), (error) => DiscoveryError.is(error, "SERVICE_UNKNOWN"));
      if (faulty.calls.includes("list")) askedAt.push(Math.round((clock.now() - begun) / 1_000));
      await clock.advance(99);
    }
    assert.deepEqual(askedAt.slice(0, 5), [1, 3, 7, 15, 25]);
    assert.ok(askedAt.length <= 7, String(askedAt));
  });

  it("can be called at once when a push names it, and is then asked for as often as any other", async () => {
    const { clock, faulty, resolver, signal } = start();
    const orders = resolver.service("orders");
    for (let call = 0; call < 100; call++) {
      await calling(orders.pick(), clock).catch(() => {});
      await clock.advance(100);
    }
    const instance = defineInstance({ service: "orders", host: "127.0.0.1", port: 3_000 });
    await faulty.memory.register(instance, { ttlMs: 86_400_000, signal });
    await clock.advance(1);
    assert.equal(orders.pickNow().instance.port, 3_000);
  });

  it("does not push out those in use, be there thousands of them", async () => {
    const { clock, faulty, resolver, signal } = start();
    const instance = defineInstance({ service: "orders", host: "127.0.0.1", port: 3_000 });
    await faulty.memory.register(instance, { ttlMs: 86_400_000, signal });
    const orders = resolver.service("orders");
    await clock.advance(10);
    for (let name = 0; name < 5_000; name++) {
      resolver.service(`invented-${name}`);
      if (name % 500 === 499) await clock.advance(10);
    }
    faulty.calls.length = 0;
    assert.equal(resolver.service("orders"), orders);
    await faulty.memory.register(defineInstance({ ...instance, id: "two", port: 3_001 }), {
      ttlMs: 86_400_000,
      signal,
    });
    await clock.advance(10);
    assert.equal(orders.instances().length, 2, "it is still watched");
    assert.ok(faulty.calls.filter((call) => call === "watch").length < 100);
    assert.ok(clock.pending < 1_500, `${clock.pending} timers`);
  });
});

describe("a consumer whose machine slept", () => {
  it("asks for the whole list within a second of waking", async () => {
    const { clock, faulty, resolver } = start();
    resolver.service("orders");
    await clock.advance(10_000);
    faulty.calls.length = 0;
    clock.setWall(clock.wall() + 7_200_000);
    await clock.advance(1_000);
    assert.ok(faulty.calls.includes("list"));
  });

  it("does so too where what it asked before it slept is never answered", async () => {
    const { clock, faulty, resolver } = start();
    resolver.service("orders");
    await clock.advance(10_000);
    faulty.mode = "deaf";
    await clock.advance(20_100); // a pull is under way
    faulty.calls.length = 0;
    clock.setWall(clock.wall() + 7_200_000);
    await clock.advance(1_000);
    assert.ok(faulty.calls.includes("list"));
  });
});

/** Lets a call that asks the registry have its answer. */
async function calling<T>(call: Promise<T>, clock: ManualClock): Promise<T> {
  call.catch(() => {});
  await clock.advance(1);
  return call;
}

function start() {
  const clock = new ManualClock();
  const faulty = faultyRegistry(clock);
  const resolver = createResolver({ registry: faulty.registry, clock, random: () => 0.5 });
  opened.push(resolver, { close: () => faulty.memory.close() });
  return { clock, faulty, resolver, signal: new AbortController().signal };
}
