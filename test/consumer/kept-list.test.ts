import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { MASS_LOSS } from "../../src/consumer/doubt.js";
import { LiveList } from "../../src/consumer/live-list.js";
import { ManualClock } from "../../src/testing/index.js";
import { scriptedRegistry, snapshot } from "../fakes/scripted-registry.js";

describe("the list that outlives the process", () => {
  it("names nobody any more whose doubt is over, though the registry had nothing new to say", async () => {
    const clock = new ManualClock();
    const scripted = scriptedRegistry();
    scripted.list = async () => snapshot(1, [1, 2, 3, 4]);
    const kept: number[][] = [];
    const silent = { published: () => {}, stale: () => {}, fresh: () => {}, answered: () => {} };
    const list = new LiveList({
      service: "orders",
      source: scripted.registry,
      refreshMs: 30_000,
      strangerMs: 0,
      staleAfterMs: 60_000,
      massLoss: MASS_LOSS,
      probe: async () => "unknown",
      shelf: {
        find: async () => undefined,
        keep: (_, instances) => void kept.push(instances.map(({ port }) => port)),
        close: async () => {},
      },
      clock,
      random: () => 0.5,
      events: silent,
    });
    list.start();
    await clock.advance(1_000);
    scripted.push(snapshot(2, [4]));
    scripted.list = () => new Promise(() => {});
    await clock.advance(0);
    assert.deepEqual(kept.at(-1), [1, 2, 3, 4]);
    await clock.advance(30_100);
    assert.deepEqual([list.snapshot.instances.length, kept.at(-1)], [1, [4]]);
    list.stop();
    await list.ended();
  });
});
