import assert from "node:assert/strict";
import { afterEach, describe, it } from "vitest";
import {
  type CreateResolverOptions,
  createResolver,
  DiscoveryError,
  memoryRegistry,
  polling,
} from "../../src/index.js";
import { defineInstance, type InstanceInput } from "../../src/model/instance.js";
import type { RegistryUpdate } from "../../src/model/update.js";
import type { Discovery } from "../../src/registry/registry.js";
import { ManualClock } from "../../src/testing/index.js";

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe("a service, where its parts meet", () => {
  it("stays stale when a doubt ends while the registry is down", async () => {
    const { clock, orders, listed, away } = await start(five(), { probe: async () => "unknown" });
    listed([one(1, { ttlMs: 100_000 })]);
    await clock.advance(30_000);
    assert.equal(orders.snapshot.suspects.length, 4);
    away();
    await clock.advance(61_000);
    assert.equal(orders.snapshot.stale, true);
    await clock.advance(60_000);
    assert.deepEqual([orders.snapshot.suspects.length, orders.snapshot.stale], [0, true]);
  });

  it("draws its subset among those somebody listens at", async () => {
    const { clock, orders } = await start(
      Array.from({ length: 10 }, (_, index) => one(index)),
      { subset: 2 },
    );
    for (let call = 0; call < 10; call++) {
      const endpoint = orders.choose(undefined);
      if (call < 2) endpoint?.settle("refused", 1, clock.now());
      else assert.equal(endpoint?.ejection.cause, undefined, "eight others are alive");
    }
  });

  it("tries whether an ejected one is back only where it may be called at all", async () => {
    for (const change of [{ version: "2.0.0" }, { weight: 0 }, { status: "starting" }] as const) {
      const both = [one(1, { version: "1.0.0" }), one(2, { version: "1.0.0" })];
      const { clock, orders, listed } = await start(both, { version: "^1", refreshMs: 500 });
      orders.endpoints[1]?.settle("refused", 1, clock.now());
      listed([both[0] as InstanceInput, one(2, { version: "1.0.0", ...change })]);
      await clock.advance(40_000);
      for (let call = 0; call < 5; call++) assert.equal(orders.choose(undefined)?.instance.port, 3_001);
    }
  });

  it("sends nobody to a weight of 0 because the others are full, and says that they are", async () => {
    const { clock, orders } = await start([one(1), one(2, { weight: 0 })], { maxInFlight: 1 });
    const first = orders.choose(undefined);
    first?.begin(clock.now());
    assert.equal(first?.instance.port, 3_001);
    assert.throws(
      () => orders.pickNow(),
      (error) => DiscoveryError.is(error, "OVERLOADED"),
    );
  });

  it("does not lose the end of a doubt that comes while it goes to rest", async () => {
    const { clock, orders, listed } = await start([one(1), one(2)], {
      refreshMs: 3_000,
      idleMs: 13_000,
      massLoss: { share: 0.1, least: 1 },
      probe: async () => "refused",
    });
    await clock.advance(7_500);
    listed([one(1)]);
    await clock.advance(10_000);
    orders.resume();
    for (let turn = 0; turn < 3; turn++) {
      orders.choose(undefined)?.begin(clock.now());
      await clock.advance(10_000);
    }
    assert.deepEqual(
      orders.instances().map(({ port }) => port),
      [3_001],
    );
    assert.deepEqual(orders.snapshot.suspects, []);
  });

  it("lets the last one go that died while its registry still warmed up, polled or watched", async () => {
    for (const polled of [true, false]) {
      const clock = new ManualClock();
      const memory = memoryRegistry({ clock, warmingMs: 60_000 });
      const registry = polled ? polling(memory, { clock, intervalMs: 1_000 }) : memory;
      const resolver = createResolver({ registry, clock, random: () => 0.5, probe: async () => "refused" });
      opened.push(resolver, memory);
      const orders = resolver.service("orders");
      await memory.register(defineInstance(one(1)), { ttlMs: 3_000, signal: new AbortController().signal });
      await clock.advance(5_000); // its lease ran out a second ago at the latest
      assert.deepEqual([orders.instances().length, orders.snapshot.suspects.length], [1, 1]);
      await clock.advance(7_000);
      assert.deepEqual([orders.instances().length, orders.snapshot.warming], [0, true], `polled: ${polled}`);
    }
  });

  it("notices that a registry it polls has warmed up", async () => {
    const clock = new ManualClock();
    const memory = memoryRegistry({ clock, warmingMs: 5_000 });
    const registry = polling(memory, { clock, intervalMs: 1_000 });
    const resolver = createResolver({ registry, clock, random: () => 0.5 });
    opened.push(resolver, memory);
    const orders = resolver.service("orders");
    await memory.register(defineInstance(one(1)), { ttlMs: 86_400_000, signal: new AbortController().signal });
    await clock.advance(3_000);
    assert.equal(orders.snapshot.warming, true);
    await clock.advance(5_000);
    assert.equal(orders.snapshot.warming, false);
  });
});

function one(index: number, fields: Partial<InstanceInput> = {}): InstanceInput {
  return { service: "orders", host: "127.0.0.1", port: 3_000 + index, ...fields };
}

function five(): InstanceInput[] {
  return Array.from({ length: 5 }, (_, index) => one(index + 1, { ttlMs: 100_000 }));
}

/** A registry that is only asked, and answers what it was told last. */
async function start(instances: readonly InstanceInput[], options: Partial<CreateResolverOptions>) {
  const clock = new ManualClock();
  let answer = async (): Promise<RegistryUpdate> => list(instances);
  const registry: Discovery = {
    name: "asked",
    capabilities: { watch: "none", lease: "none", reasons: false, epoch: false, absence: true, quietMs: 1e9 },
    list: () => answer(),
    close: async () => {},
  };
  const resolver = createResolver({ registry, clock, random: () => 0.5, ...options });
  opened.push(resolver);
  const orders = resolver.service("orders");
  await clock.advance(1_000);
  const listed = (next: readonly InstanceInput[]): void => {
    answer = async () => list(next);
  };
  const away = (): void => {
    answer = async () => {
      throw new DiscoveryError("UNAVAILABLE", "connect ECONNREFUSED");
    };
  };
  return { clock, orders, listed, away };
}

function list(instances: readonly InstanceInput[]): RegistryUpdate {
  return { type: "reset", instances: instances.map((each) => defineInstance(each)) };
}
