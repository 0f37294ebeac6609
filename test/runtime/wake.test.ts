import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { onWake } from "../../src/runtime/wake.js";
import { ManualClock } from "../../src/testing/index.js";

describe("onWake", () => {
  it("tells within a second that the machine slept, once", async () => {
    const clock = new ManualClock();
    let woken = 0;
    onWake(clock, () => woken++);
    await clock.advance(3_600_000);
    clock.setWall(clock.wall() + 7_200_000);
    await clock.advance(1_000);
    assert.equal(woken, 1);
    await clock.advance(3_600_000);
    assert.equal(woken, 1);
  });

  it("takes a wall clock that was set back for a wake-up too, and a slow drift for none", async () => {
    const clock = new ManualClock();
    let woken = 0;
    onWake(clock, () => woken++);
    clock.setWall(clock.wall() - 10 * 365 * 86_400_000);
    await clock.advance(1_000);
    assert.equal(woken, 1);
    for (let second = 0; second < 100; second++) {
      clock.setWall(clock.wall() + 1_000); // twice as fast
      await clock.advance(1_000);
    }
    assert.equal(woken, 1);
  });

  it("keeps one timer for all, and none once nobody listens", async () => {
    const clock = new ManualClock();
    const listener = (): void => {};
    const ends = [onWake(clock, listener), onWake(clock, listener)];
    assert.equal(clock.pending, 1);
    for (const end of ends) end();
    for (const end of ends) end();
    assert.equal(clock.pending, 0);
    onWake(clock, listener)();
    assert.equal(clock.pending, 0);
  });
});
