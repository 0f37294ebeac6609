import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { LagWatch } from "../../src/runtime/lag.js";
import { ManualClock } from "../../src/testing/index.js";

describe("LagWatch", () => {
  it("adds up what stalls cost while something is in flight, and no more", async () => {
    const clock = new ManualClock();
    const lag = new LagWatch(clock);
    const before = lag.lostMs;
    await clock.stall(1_000); // nothing is in flight
    lag.entered();
    await clock.stall(125); // a hundred after the timer was due
    await clock.advance(500);
    await clock.stall(60); // late by less than what a healthy loop may be
    await clock.stall(225);
    assert.equal(lag.lostMs - before, 300);
  });

  it("knows of a stall that is going on", async () => {
    const clock = new ManualClock();
    const lag = new LagWatch(clock);
    lag.entered();
    assert.equal(lag.lostBy(clock.now() + 500) - lag.lostMs, 475);
  });

  it("leaves no timer behind when nothing is in flight any more", async () => {
    const clock = new ManualClock();
    const lag = new LagWatch(clock);
    lag.entered();
    lag.left();
    await clock.advance(25);
    assert.equal(clock.pending, 0);
  });
});
