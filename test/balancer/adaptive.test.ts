import assert from "node:assert/strict";
import { describe, it } from "vitest";
import type { Endpoint } from "../../src/endpoint/endpoint.js";
import { adaptive } from "../../src/index.js";
import { call, crowd, pickerOver, shares } from "./crowd.js";

describe("adaptive", () => {
  it("prefers who is faster, and who has less to do when equally fast", () => {
    const all = measured(3, [10, 20, 40]);
    const picker = pickerOver(adaptive(), all);
    assert.deepEqual(shares(picker, all, 100), [100, 0, 0]);
    all[0]!.begin(1_001);
    all[0]!.begin(1_001); // three times 10 is more than once 20
    assert.deepEqual(shares(picker, all, 100), [0, 100, 0]);
  });

  it("sends at most one first call at a time to somebody unmeasured", () => {
    const all = measured(10, Array(10).fill(10));
    const shared = all[0]!.load.shared;
    const [unknown] = crowd(1, () => ({ port: 9_000 }), shared);
    const picker = pickerOver(adaptive(), [unknown!, ...all]);
    let firsts = 0;
    for (let pick = 0; pick < 200; pick++) {
      const endpoint = picker.pick(undefined) as Endpoint;
      endpoint.begin(1_001);
      if (endpoint === unknown) firsts++;
    }
    assert.equal(firsts, 1);
  });

  it("leaves one alone that fails fast", () => {
    const all = measured(10, Array(10).fill(20));
    const picker = pickerOver(adaptive(), all);
    let failures = 0;
    for (let now = 1_000; now < 11_000; now += 5) {
      const endpoint = picker.pick(undefined) as Endpoint;
      if (endpoint === all[0]) failures++;
      call(endpoint, endpoint === all[0] ? 1 : 20, now, endpoint === all[0] ? "failure" : "success");
    }
    assert.ok(failures < 20, `${failures} of 2000 calls failed`);
  });

  it("takes a silence longer than usual for the latency", () => {
    const all = measured(2, [10, 15]);
    const picker = pickerOver(adaptive(), all);
    const fast = picker.pick(undefined) as Endpoint;
    assert.equal(fast, all[0]);
    fast.begin(1_001);
    fast.load.shared.now = 1_150;
    for (let busy = 0; busy < 8; busy++) all[1]!.begin(1_150); // 15 × 9 is less than 149 × 2
    assert.equal(picker.pick(undefined), all[1]);
  });

  it("does not take a long body for silence: its headers have come", () => {
    const all = measured(2, [10, 1_000]);
    const picker = pickerOver(adaptive(), all);
    all[0]!.begin(1_001);
    all[0]!.settle("success", 10, 1_011);
    all[0]!.load.shared.now = 60_000;
    assert.equal(picker.pick(undefined), all[0]);
  });

  it("tries a slow newcomer now and then, never with two calls at once, and no more once it has grown up", () => {
    const all = measured(10, Array(10).fill(10));
    const { shared } = all[0]!.load;
    const [newcomer] = crowd(1, () => ({ port: 9_000 }), shared, 1_000);
    call(newcomer!, 5_000, 1_001);
    const picker = pickerOver(adaptive(), [newcomer!, ...all]);
    const trials = () => shares(picker, [...all, newcomer!], 1_000)[10] ?? 0;
    const young = trials();
    assert.ok(young > 50 && young < 200, `${young} of 1000`);
    newcomer!.begin(1_002);
    assert.equal(trials(), 0);
    newcomer!.end();
    shared.now = 40_000;
    assert.equal(trials(), 0);
  });

  it("has no newcomers when all were there from the start", () => {
    const all = crowd(5);
    for (const endpoint of all) call(endpoint, endpoint === all[4] ? 5_000 : 10, 1_000);
    assert.equal(shares(pickerOver(adaptive(), all), all, 1_000)[4], 0);
  });

  it("takes a full one for up to twice as dear if told to hear reports, the less the older they are", () => {
    const all = measured(2, [10, 15]);
    const picker = pickerOver(adaptive({ reportedLoad: true }), all);
    assert.ok(shares(picker, all, 1_000)[0]! > 800);
    all[0]!.report(1, 1_000.5); // 20 is more than 15
    assert.ok(shares(picker, all, 1_000)[1]! > 800);
    all[0]!.load.shared.now = 31_001;
    assert.ok(shares(picker, all, 1_000)[0]! > 800);
  });

  it("hears no reports unless told to", () => {
    const all = measured(4, [10, 15, 15, 15]);
    const picker = pickerOver(adaptive(), all);
    all[0]!.report(1, 1_000.5);
    assert.equal(all[0]!.load.shared.reports, undefined);
    assert.ok(shares(picker, all, 1_000)[0]! > 500);
  });

  it("does not send every client to the same one when nothing was measured yet", () => {
    const all = crowd(3);
    const firsts = new Set(Array.from({ length: 30 }, (_, seed) => pickerOver(adaptive(), all, seed).pick(undefined)));
    assert.equal(firsts.size, 3);
  });
});

function measured(count: number, latencies: readonly number[]): Endpoint[] {
  const all = crowd(count);
  for (const [index, endpoint] of all.entries()) call(endpoint, latencies[index] as number, 1_000);
  return all;
}
