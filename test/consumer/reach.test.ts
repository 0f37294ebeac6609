import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { MASS_LOSS } from "../../src/consumer/doubt.js";
import { Membership } from "../../src/consumer/membership.js";
import { Reach } from "../../src/consumer/reach.js";
import type { InstanceStatus } from "../../src/model/instance.js";
import type { RegistryUpdate, RemovalReason } from "../../src/model/update.js";
import { orders } from "../fakes/scripted-registry.js";

describe("Reach", () => {
  it("holds leases for ended, perhaps, after half their ttl out of reach, and for a ttl from the return on", () => {
    const reach = backAfter(15_000);
    assert.deepEqual([reach.calledBefore(30_000, 15_000), reach.calledBefore(30_001, 15_000)], [1, undefined]);
    assert.deepEqual([reach.calledBefore(30_000, 44_999), reach.calledBefore(30_000, 45_000)], [1, undefined]);
  });

  it("counts from the last answer, not from the first failure: nobody knows what was between them", () => {
    const reach = new Reach();
    reach.begin(0);
    reach.heard(50_000, () => 3);
    reach.missed();
    reach.heard(60_000, () => 3);
    assert.deepEqual([reach.calledBefore(20_000, 60_000), reach.calledBefore(21_000, 60_000)], [3, undefined]);
  });

  it("takes no silence for an outage that no failure broke", () => {
    const reach = new Reach();
    reach.begin(0);
    reach.heard(3_600_000, () => 3);
    assert.equal(reach.calledBefore(1_000, 3_600_000), undefined);
  });

  it("does not forget a long outage over a short one that follows", () => {
    const reach = backAfter(60_000, 3);
    reach.missed();
    reach.heard(61_000, () => 1);
    assert.equal(reach.calledBefore(30_000, 61_000), 3);
    reach.missed();
    reach.heard(76_000, () => 2);
    assert.deepEqual([reach.calledBefore(30_000, 89_999), reach.calledBefore(30_000, 90_000)], [3, 2]);
    assert.equal(reach.calledBefore(30_000, 106_000), undefined, "what is over is over");
  });

  it("goes on while one of several is away, whom the others answer for", () => {
    const reach = new Reach();
    reach.begin(0);
    reach.heard(10_000, () => 3, true);
    assert.equal(reach.isAway, false);
    reach.heard(40_000, () => 3, true);
    assert.equal(reach.calledBefore(30_000, 40_000), undefined);
    reach.heard(50_000, () => 2);
    assert.deepEqual([reach.calledBefore(100_000, 50_000), reach.calledBefore(100_001, 50_000)], [2, undefined]);
  });

  it("does not count the time in which nobody asked", () => {
    const reach = new Reach();
    reach.begin(0);
    reach.missed();
    reach.begin(3_600_000);
    reach.missed();
    reach.heard(3_601_000, () => 3);
    assert.equal(reach.calledBefore(30_000, 3_601_000), undefined);
  });
});

describe("Membership, after an outage", () => {
  it("doubts whoever is no longer listed or called failed, be it one of five", () => {
    for (const word of [list([1, 2, 3, 4]), observed([5], "expired"), observed([5], "probe_failed"), failing([5])]) {
      const members = returned(5);
      members.apply(word, 60_000);
      assert.deepEqual([members.known.size, [...members.doubted.keys()]], [5, ["orders@10.0.0.1:5"]]);
      assert.equal(members.known.get("orders@10.0.0.1:5")?.status, "healthy");
      assert.equal(members.below.size, 0);
    }
  });

  it("believes what somebody decided", () => {
    for (const reason of ["deregistered", "replaced", "evicted"] as const) {
      const members = returned(3);
      members.apply(observed([1], reason), 60_000);
      assert.deepEqual([members.known.size, members.suspected], [2, 0], reason);
    }
  });

  it("lets go of whoever was draining", () => {
    const members = returned(3, "draining");
    members.apply(list([1]), 60_000);
    assert.deepEqual([members.known.size, members.doubted.size], [1, 0]);
  });

  it("believes small losses again when a ttl has passed", () => {
    const members = returned(3);
    members.apply(list([1, 2, 3]), 60_000);
    members.apply(list([1, 2]), 89_999);
    assert.deepEqual([members.known.size, members.doubted.size], [3, 1]);
    members.apply(list([1]), 90_000);
    assert.deepEqual([members.known.size, members.doubted.size], [2, 1]);
  });

  it("ranks those below whom a knock did not find, and all once as many are listed as before", () => {
    const members = returned(4);
    members.apply(list([4]), 60_000);
    assert.equal(members.found("orders@10.0.0.1:1", "alive", 60_100).changed, false);
    assert.equal(members.found("orders@10.0.0.1:2", "refused", 60_100).changed, true);
    assert.equal(members.found("orders@10.0.0.1:3", "unknown", 60_100).changed, true);
    assert.deepEqual([...members.below.keys()], ["orders@10.0.0.1:2", "orders@10.0.0.1:3"]);
    members.apply(list([4, 5, 6]), 61_000);
    assert.equal(members.below.has("orders@10.0.0.1:1"), false);
    members.apply(list([4, 5, 6, 7]), 62_000);
    assert.equal(members.below.has("orders@10.0.0.1:1"), true);
  });

  it("leaves them below when the registry is away for a moment more: they are not among those called before that", () => {
    const members = returned(3);
    members.apply(list([4, 5, 6]), 60_000);
    assert.equal(members.below.size, 3);
    members.missed();
    members.apply(list([4, 5, 6]), 60_500);
    assert.equal(members.below.size, 3);
    members.missed();
    members.apply(list([7, 8, 9]), 80_000);
    assert.equal(members.below.size, 6);
  });

  it("asks how many were called before this outage, not before a longer one of this morning", () => {
    const members = returned(9);
    members.apply(list([1, 2, 3, 4, 5, 6, 7, 8, 9]), 18_000_000);
    members.apply(observed([4, 5, 6, 7, 8, 9], "deregistered"), 19_000_000);
    members.missed();
    members.apply(list([11, 12, 13]), 20_000_000);
    assert.equal(members.below.size, 3);
  });

  it("ends doubts as ever, by evidence or in time", () => {
    const members = returned(3);
    members.apply(list([3]), 60_000);
    members.found("orders@10.0.0.1:1", "refused", 60_100);
    members.found("orders@10.0.0.1:2", "alive", 60_100);
    members.confirm(65_000);
    assert.equal(members.known.size, 2);
    members.settle(89_999);
    assert.equal(members.known.size, 2);
    members.settle(90_000);
    assert.equal(members.known.size, 1);
  });

  it("gives up none of the living while the registry is away again", () => {
    const members = returned(2);
    members.apply(list([2]), 60_000);
    members.found("orders@10.0.0.1:1", "alive", 60_100);
    members.missed();
    assert.equal(members.settle(90_000).changed, false);
    members.found("orders@10.0.0.1:1", "alive", 90_100);
    members.apply(list([2]), 100_000);
    members.settle(120_000);
    assert.equal(members.known.size, 1, "it is back, and says so still");
  });
});

/** A reach that heard nothing until then. */
function backAfter(ms: number, usable = 1): Reach {
  const reach = new Reach();
  reach.begin(0);
  reach.missed();
  reach.heard(ms, () => usable);
  return reach;
}

/** A membership whose registry was out of reach for a minute, and is about to speak. */
function returned(count: number, status: InstanceStatus = "healthy"): Membership {
  const members = new Membership(MASS_LOSS);
  members.begin(0);
  const all = Array.from({ length: count }, (_, index) => index + 1);
  const { instances, ...rest } = list(all) as RegistryUpdate & { type: "reset" };
  members.apply({ ...rest, instances: instances.map((each) => ({ ...each, status })) }, 0);
  members.missed();
  return members;
}

function list(ports: readonly number[]): RegistryUpdate {
  return { type: "reset", instances: orders(...ports), position: "e:1", epoch: "e" };
}

function observed(ports: readonly number[], reason: RemovalReason): RegistryUpdate {
  const removed = ports.map((port) => ({ id: `orders@10.0.0.1:${port}`, reason }));
  return { type: "change", upserted: [], removed, since: "e:1", position: "e:2", epoch: "e" };
}

function failing(ports: readonly number[]): RegistryUpdate {
  const upserted = orders(...ports).map((each) => ({ ...each, status: "failed" as const }));
  return { type: "change", upserted, removed: [], since: "e:1", position: "e:2", epoch: "e" };
}
