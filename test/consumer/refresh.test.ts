import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { createResolver } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { scriptedRegistry, snapshot } from "../fakes/scripted-registry.js";

describe("a refresh", () => {
  it("believes a pull, not a watch whose first word was older and came later", async () => {
    const clock = new ManualClock();
    const scripted = scriptedRegistry();
    scripted.list = async () => snapshot(1, [3_000]);
    const resolver = createResolver({ registry: scripted.registry, clock, refreshMs: 1_000, random: () => 0.5 });
    const orders = resolver.service("orders");
    await clock.advance(10);
    scripted.list = async () => snapshot(2, [3_000, 3_001]);
    await clock.advance(1_100);
    assert.equal(orders.instances().length, 2);
    const seen: number[] = [];
    orders.on("changed", ({ snapshot: { instances } }) => seen.push(instances.length));
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
});
