import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { createResolver } from "../../src/index.js";
import type { RegistryUpdate } from "../../src/model/update.js";
import type { Registry } from "../../src/registry/registry.js";
import { ManualClock } from "../../src/testing/index.js";
import { faultyRegistry } from "../fakes/registrar.js";
import { added, scriptedRegistry, snapshot } from "../fakes/scripted-registry.js";

describe("a refresh", () => {
  for (const [when, hasSpoken] of [
    ["first", false],
    ["next", true],
  ] as const) {
    it(`believes a pull, not a watch whose ${when} word was older and came later`, async () => {
      const clock = new ManualClock();
      const scripted = scriptedRegistry();
      scripted.list = async () => snapshot(1, [3_000]);
      const resolver = createResolver({ registry: scripted.registry, clock, refreshMs: 1_000, random: () => 0.5 });
      const orders = resolver.service("orders");
      await clock.advance(10);
      if (hasSpoken) scripted.push(snapshot(1, [3_000]));
      await clock.advance(10);
      scripted.list = async () => snapshot(2, [3_000, 3_001]);
      await clock.advance(1_100);
      assert.equal(orders.instances().length, 2);
      const seen: number[] = [];
      orders.on("changed", ({ snapshot: { instances } }) => seen.push(instances.length));
      scripted.push({ type: "current" });
      scripted.push(snapshot(1, [3_000]));
      await clock.advance(10);
      assert.deepEqual(seen, []);
      scripted.push(snapshot(3, [3_001])); // from now on it is believed
      await clock.advance(10);
      assert.deepEqual(seen, [1]);
      const closed = resolver.close();
      scripted.breakWatch();
      await closed;
    });
  }

  for (const [what, news, isPulledFirst] of [
    ["what may be older than a pull", snapshot(3, [3_000, 3_001, 3_002]), true],
    ["what comes after something that is missing", added(2, 3, 3_002), false],
  ] as const) {
    it(`asks anew at ${what}, whatever was asked before`, async () => {
      const clock = new ManualClock();
      const scripted = scriptedRegistry();
      scripted.list = async () => snapshot(1, [3_000]);
      const resolver = createResolver({ registry: scripted.registry, clock, refreshMs: 1_000, random: () => 0.5 });
      const orders = resolver.service("orders");
      await clock.advance(10);
      if (isPulledFirst) scripted.list = async () => snapshot(2, [3_000, 3_001]);
      await clock.advance(1_000);
      let answer = (_: RegistryUpdate): void => {};
      scripted.list = () => new Promise((resolve) => (answer = resolve));
      await clock.advance(1_000);
      const before = answer;
      scripted.list = async () => snapshot(3, [3_000, 3_001, 3_002]);
      scripted.push(news);
      await clock.advance(10);
      before(isPulledFirst ? snapshot(2, [3_000, 3_001]) : { type: "current", position: "e:1" });
      await clock.advance(10);
      assert.equal(orders.instances().length, 3);
      const closed = resolver.close();
      scripted.breakWatch();
      await closed;
    });
  }

  it("asks nothing when a watch speaks after a pull that found nothing new", async () => {
    const clock = new ManualClock();
    const scripted = scriptedRegistry();
    scripted.list = async () => snapshot(1, [3_000]);
    const resolver = createResolver({ registry: scripted.registry, clock, refreshMs: 1_000, random: () => 0.5 });
    const orders = resolver.service("orders");
    await clock.advance(1_100);
    const asked = scripted.asked.length;
    scripted.push(snapshot(2, [3_000, 3_001]));
    await clock.advance(10);
    assert.equal(orders.instances().length, 2);
    assert.equal(scripted.asked.length, asked);
    const closed = resolver.close();
    scripted.breakWatch();
    await closed;
  });

  it("watches again as soon as a pull got through, and not before", async () => {
    const clock = new ManualClock();
    const faulty = faultyRegistry(clock);
    const resolver = createResolver({ registry: faulty.registry, clock, random: () => 0.9 });
    resolver.service("orders").on("changed", () => {}); // else it would rest by then
    faulty.mode = "down";
    await clock.advance(600_000); // every pause has grown to its cap
    const next = async (call: string): Promise<number> => {
      faulty.calls.length = 0;
      const begun = clock.now();
      while (!faulty.calls.includes(call)) await clock.advance(10);
      return clock.now() - begun;
    };
    faulty.calls.length = 0;
    await clock.advance(60_000);
    assert.deepEqual([...new Set(faulty.calls)], ["list"]);
    faulty.mode = "up";
    const heardMs = await next("list");
    assert.ok(heardMs < 5_000, `${heardMs} ms`);
    assert.ok(faulty.calls.includes("watch") || (await next("watch")) <= 10);
    await resolver.close();
    await faulty.memory.close();
  });

  it("opens a watch that is cut after each word no more than once in five seconds", async () => {
    const clock = new ManualClock();
    const scripted = scriptedRegistry();
    scripted.list = async () => snapshot(1, [3_000]);
    let watches = 0;
    const registry: Registry = {
      ...scripted.registry,
      async *watch() {
        watches++;
        yield snapshot(1, [3_000]);
        throw new Error("the proxy has cut it");
      },
    };
    const resolver = createResolver({ registry, clock, random: () => 0.999 });
    resolver.service("orders").on("changed", () => {});
    await clock.advance(60_000);
    watches = 0;
    await clock.advance(600_000);
    assert.ok(watches >= 120 && watches <= 180, `${watches} watches in ten minutes`); // each pull opens one at once
    await resolver.close();
  });

  it("pulls beside a watch that is told by its registry, and not beside one that polls by itself", async () => {
    const clock = new ManualClock();
    const scripted = scriptedRegistry();
    let watch: "stream" | "poll" = "poll";
    const { capabilities } = scripted.registry;
    Object.defineProperty(scripted.registry, "capabilities", { get: () => ({ ...capabilities, watch }) });
    scripted.list = async () => snapshot(1, [3_000]);
    const resolver = createResolver({ registry: scripted.registry, clock, refreshMs: 1_000, random: () => 0.5 });
    resolver.service("orders").resume();
    await clock.advance(10_000);
    assert.equal(scripted.asked.length, 1); // before the watch
    watch = "stream";
    await clock.advance(3_000);
    assert.equal(scripted.asked.length, 4);
    watch = "poll";
    await clock.advance(3_000);
    assert.equal(scripted.asked.length, 4);
    const closed = resolver.close();
    scripted.breakWatch();
    await closed;
  });
});
