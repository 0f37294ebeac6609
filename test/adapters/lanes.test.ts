import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { inLanes } from "../../src/adapters/lanes.js";
import { turn } from "../../src/runtime/clock.js";

describe("inLanes", () => {
  it("acts on each once, with no more than so many under way", async () => {
    const begun: number[] = [];
    let [now, most] = [0, 0];
    await inLanes([1, 2, 3, 4, 5], 2, async (item) => {
      begun.push(item);
      most = Math.max(most, ++now);
      await turn();
      now--;
    });
    assert.deepEqual(begun, [1, 2, 3, 4, 5]);
    assert.equal(most, 2);
  });

  it("goes on with the others after a failure, and throws it when nothing is under way", async () => {
    const done: number[] = [];
    const act = async (item: number): Promise<void> => {
      if (item === 1) throw new Error("first");
      await turn();
      done.push(item);
    };
    await assert.rejects(inLanes([1, 2, 3, 4], 2, act), /first/);
    assert.deepEqual(done, [2, 3, 4]);
  });

  it("does nothing where there is nothing", async () => {
    await inLanes([], 16, () => assert.fail());
  });
});
