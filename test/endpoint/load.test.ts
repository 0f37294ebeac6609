import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { costAt, rankAt, SharedLoad } from "../../src/endpoint/shared-load.js";
import { call, crowd } from "../balancer/crowd.js";

describe("Load", () => {
  it("moves its latency by three tenths of the way, and never down for a failure", () => {
    const [endpoint] = crowd(1);
    call(endpoint!, 100, 1_000);
    call(endpoint!, 200, 2_000);
    assert.ok(Math.abs(endpoint!.load.latencyMs - 130) < 1e-9);
    call(endpoint!, 1, 3_000, "failure");
    assert.ok(Math.abs(endpoint!.load.latencyMs - 130) < 1e-9);
    call(endpoint!, 1_130, 4_000, "failure");
    assert.ok(Math.abs(endpoint!.load.latencyMs - 430) < 1e-9);
  });

  it("ranks costs as whole numbers in the order of the costs, also after its arrays have grown", () => {
    const costs = [1e-300, 0.05, 0.0500001, 7, 7.00001, 1e9, 1e125, Number.POSITIVE_INFINITY];
    const shared = new SharedLoad(0);
    crowd(40, undefined, shared);
    for (const [index, cost] of costs.entries()) shared.costs[costAt(30 + index)] = cost;
    const ranks = costs.map((_, index) => shared.standings[rankAt(30 + index)] as number);
    assert.deepEqual(
      ranks,
      [...ranks].sort((a, b) => a - b),
    );
    assert.equal(new Set(ranks).size, costs.length);
  });

  it("measures one that left and is called once more for itself, not for who came in its place", () => {
    const shared = new SharedLoad(0);
    const [late, stays] = crowd(2, undefined, shared);
    late!.leave();
    const [newcomer] = crowd(1, undefined, shared);
    late!.begin(10); // chosen before it left, for after a pause
    late!.settle("failure", 5_000, 5_010);
    late!.end();
    assert.equal(newcomer!.load.successRate, 1);
    assert.equal(newcomer!.load.waiting, 0);
    const places = [newcomer!, stays!, ...crowd(3, undefined, shared)].map(({ load }) => load.place);
    assert.equal(new Set(places).size, 5, "nobody shares a place");
  });

  it("forgets what an earlier process reported of its load", () => {
    const shared = new SharedLoad(0);
    shared.wantReports(true);
    const [endpoint] = crowd(1, undefined, shared);
    endpoint!.report(1, 10);
    endpoint!.become({ ...endpoint!.instance, incarnation: 7 }, 20);
    assert.equal(shared.reports?.[2 * endpoint!.load.place], 0);
  });

  it("learns no latency from one that only ever failed fast", () => {
    const [endpoint] = crowd(1);
    call(endpoint!, 1, 1_000, "failure");
    assert.ok(endpoint!.load.latencyMs < 0);
    assert.ok(costOf(endpoint!) > 30, "it costs more than an unmeasured one would");
  });

  it("keeps a success rate that never quite reaches zero", () => {
    const [endpoint] = crowd(1);
    for (let now = 0; now < 100; now++) call(endpoint!, 1, now, "failure");
    assert.equal(endpoint!.load.successRate, 0.05);
  });

  it("rises to a peak by a third and falls back as call time passes", () => {
    const [endpoint] = crowd(1);
    call(endpoint!, 10, 1_000);
    call(endpoint!, 110, 1_100);
    assert.ok(Math.abs(endpoint!.load.peakMs - 40) < 1e-9);
    call(endpoint!, 10, 1_101);
    assert.ok(Math.abs(endpoint!.load.peakMs - 37) < 0.01, "at once it falls by a tenth");
    for (let now = 1_301; now <= 21_101; now += 200) endpoint!.load.shared.settledAt(now);
    call(endpoint!, 10, 21_102);
    assert.ok(endpoint!.load.peakMs < 10 + 27 * Math.exp(-1.9), "after two time constants most of it is gone");
  });

  it("counts an idle hour for as little as one pause", () => {
    const [endpoint, other] = crowd(2);
    call(endpoint!, 100, 1_000);
    call(other!, 10, 1_000);
    other!.load.shared.settledAt(3_600_000);
    call(other!, 10, 3_600_001);
    assert.ok(costOf(endpoint!) > costOf(other!) * 9);
  });

  it("compares as before after its scores were brought down", () => {
    const [slow, fast] = crowd(2);
    for (let now = 0; now < 3_000_000; now += 200) {
      call(slow!, 20, now);
      call(fast!, 10, now + 1);
    }
    assert.ok(slow!.load.shared.eras > 0);
    assert.ok(Math.abs(costOf(slow!) / costOf(fast!) - 2) < 0.01);
    assert.ok(slow!.load.shared.growth < 1e121);
  });

  it("counts calls of one that has left without touching who came in its place", () => {
    const shared = new SharedLoad(0);
    const [left] = crowd(1, undefined, shared);
    left!.begin(0);
    left!.leave();
    const [heir] = crowd(1, undefined, shared);
    assert.notEqual(heir!.load.place, left!.load.place);
    left!.settle("success", 1, 1);
    left!.end();
    assert.equal(shared.inFlight, 0);
    assert.equal(heir!.load.inFlight, 0);
    const [next] = crowd(1, undefined, shared);
    assert.equal(next!.load.place, left!.load.place, "the place is free once its last call is over");
  });

  it("keeps what it holds when more endpoints come than it had places for", () => {
    const shared = new SharedLoad(0);
    const all = crowd(100, undefined, shared);
    for (const [index, endpoint] of all.entries()) for (let call = 0; call < index; call++) endpoint.begin(0);
    crowd(1_000, undefined, shared);
    assert.ok(all.every((endpoint, index) => endpoint.load.inFlight === index));
    assert.equal(shared.inFlight, 4_950);
  });
});

function costOf({ load: { shared, place } }: ReturnType<typeof crowd>[0]): number {
  return (shared.costs[costAt(place)] ?? 0) / shared.growth;
}
