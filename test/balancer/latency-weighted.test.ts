import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { latencyWeighted } from "../../src/index.js";
import { call, crowd, pickerOver, shares, surprise } from "./crowd.js";

const LATENCIES = [1, 4, 9, 24, 99];
const LAW = LATENCIES.map((latency) => 1 / (latency + 1));

describe("latencyWeighted", () => {
  it("gives exactly the law's shares while nothing is in flight", () => {
    const all = measured();
    for (const options of [{}, { draws: 1 }, { guards: false }, { selection: "proportional" }] as const) {
      const counts = shares(pickerOver(latencyWeighted(options), all), all, 200_000);
      assert.ok(surprise(counts, LAW) < 4, JSON.stringify([options, counts]));
    }
  });

  it("multiplies the law by weight", () => {
    const all = crowd(5, (index) => ({ weight: index + 1 }));
    for (const [index, endpoint] of all.entries()) call(endpoint, LATENCIES[index] as number, 1_000);
    const law = LAW.map((share, index) => share * (index + 1));
    assert.ok(surprise(shares(pickerOver(latencyWeighted(), all), all, 200_000), law) < 4);
  });

  it("multiplies it by the success rate to the fourth power, unless unguarded", () => {
    const all = measured();
    for (let now = 2_000; now < 2_005; now++) call(all[0]!, 1, now, "failure");
    const rate = all[0]!.load.successRate;
    assert.ok(rate < 0.6);
    const guarded = shares(pickerOver(latencyWeighted({ draws: 1 }), all), all, 200_000);
    assert.ok(surprise(guarded, [LAW[0]! * rate ** 4, ...LAW.slice(1)]) < 4);
    const bare = shares(pickerOver(latencyWeighted({ selection: "proportional" }), all), all, 200_000);
    assert.ok(surprise(bare, LAW) < 4);
  });

  it("takes the unmeasured for the median of the others; unguarded, for the fastest of all", () => {
    const all = crowd(4);
    for (const [index, latency] of [9, 19, 99].entries()) call(all[index]!, latency, 1_000);
    const guarded = shares(pickerOver(latencyWeighted(), all), all, 200_000);
    assert.ok(surprise(guarded, [1 / 10, 1 / 20, 1 / 100, 1 / 20]) < 4);
    const bare = shares(pickerOver(latencyWeighted({ selection: "proportional" }), all), all, 200_000);
    assert.ok(surprise(bare, [1 / 10, 1 / 20, 1 / 100, 1]) < 4);
  });

  it("of two drawn takes the one with fewer in flight for its weight, and the bare law does not", () => {
    const all = crowd(2, (index) => ({ weight: index === 0 ? 3 : 1 }));
    all[0]!.begin(0);
    all[1]!.begin(0); // one of three is less than one of one
    const counts = shares(pickerOver(latencyWeighted(), all), all, 10_000);
    assert.ok(counts[0]! > 9_000, `${counts}`);
    const literal = shares(pickerOver(latencyWeighted({ draws: 1 }), all), all, 10_000);
    assert.ok(Math.abs(literal[0]! - 7_500) < 300);
  });

  it("sees a first measurement at once, and later ones within 100 ms", () => {
    const all = crowd(2);
    const picker = pickerOver(latencyWeighted({ draws: 1 }), all);
    call(all[0]!, 999, 1_000);
    call(all[1]!, 0, 1_000);
    assert.ok(shares(picker, all, 1_000)[1]! > 980);
    for (let sample = 0; sample < 40; sample++) call(all[0]!, 0, 1_000.5);
    assert.ok(shares(picker, all, 1_000)[1]! > 980, "the table is still young");
    all[0]!.load.shared.now = 1_101;
    assert.ok(Math.abs(shares(picker, all, 1_000)[1]! - 500) < 100);
  });

  it("keeps what was measured when it takes over from another balancer", () => {
    const all = measured();
    const counts = shares(pickerOver(latencyWeighted(), all, 1), all, 100_000);
    assert.ok(surprise(counts, LAW) < 4);
  });

  it("refuses options that mean nothing, by name", () => {
    assert.throws(() => latencyWeighted({ draws: 3 as 2 }), /latencyWeighted\.draws must be one of 1, 2/);
    assert.throws(() => latencyWeighted({ gaurds: true } as never), /did you mean guards\?/);
  });
});

function measured() {
  const all = crowd(LATENCIES.length);
  for (const [index, endpoint] of all.entries()) call(endpoint, LATENCIES[index] as number, 1_000);
  return all;
}
