import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import type { Balancer } from "../../src/balancer/balancer.js";
import { roundRobin } from "../../src/balancer/round-robin.js";
import { Rotation } from "../../src/consumer/rotation.js";
import { type RoutingOptions, routingFrom } from "../../src/consumer/routing.js";
import { EJECTION } from "../../src/endpoint/ejection.js";
import type { Endpoint, Outcome } from "../../src/endpoint/endpoint.js";
import { defineInstance, type InstanceStatus } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";

describe("a rotation", () => {
  it("is left at the first refusal, and returned to by one trial that succeeds", async () => {
    const { clock, rotation, events } = make(3);
    const dead = choose(rotation);
    end(dead, "refused");
    assert.ok(!picked(rotation, 30).has(dead));
    await clock.advance(1_000);
    const trials = Array.from({ length: 9 }, () => choose(rotation)).filter((endpoint) => endpoint === dead);
    assert.equal(trials.length, 1);
    end(dead, "success");
    assert.ok(picked(rotation, 30).has(dead));
    assert.deepEqual(events, ["ejected refused 1000", "readmitted"]);
  });

  it("passes over no list, though nobody asked for anything in between", async () => {
    const { clock, rotation, instances, left } = make(2);
    const [first] = rotation.all;
    rotation.setInstances(instances.slice(1), new Map());
    await clock.advance(500);
    const toldAt = clock.now();
    rotation.setInstances(instances, new Map());
    await clock.advance(500);
    rotation.catchUp();
    assert.deepEqual(left, [first]);
    assert.equal(rotation.all[0]?.addedAt, toldAt, "when it was told, not when it was asked for");
  });

  it("knows whoever was told last when an outcome comes, or somebody asks why", () => {
    const { rotation, events, instances } = make(2);
    const [gone, stays] = rotation.all as [Endpoint, Endpoint];
    rotation.setInstances(instances.slice(1), new Map());
    finish(gone, "refused");
    assert.deepEqual(events, [], "it has left");
    rotation.setInstances(instances.slice(1), new Map([[stays.instance.id, "suspect"]]));
    assert.equal(choose(rotation), stays);
    assert.ok(stays.suspect);
    rotation.setInstances([], new Map());
    assert.ok(!rotation.isFull);
    assert.equal(rotation.choose(undefined), undefined);
  });

  it("waits twice as long after each trial that fails, half a minute at most", async () => {
    const { clock, rotation } = make(3);
    const dead = choose(rotation);
    end(dead, "refused");
    const waits: number[] = [];
    for (let trial = 0; trial < 8; trial++) {
      const begun = clock.now();
      while (!picked(rotation, 3).has(dead)) await clock.advance(100);
      waits.push(clock.now() - begun);
      end(dead, "refused");
    }
    assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  it("is left after five failures in a row, not after five that were not", () => {
    const { rotation } = make(3);
    const [sick] = rotation.all as [Endpoint];
    for (let call = 0; call < 20; call++) finish(sick, call % 5 === 4 ? "success" : "failure");
    assert.equal(sick.ejection.cause, undefined);
    for (let call = 0; call < 5; call++) finish(sick, "overloaded");
    assert.equal(sick.ejection.cause, "failing");
  });

  it("is left when most of twenty calls within ten seconds fail, though never five in a row", async () => {
    const { clock, rotation } = make(3);
    const [sick] = rotation.all as [Endpoint];
    for (let call = 0; call < 19; call++) {
      finish(sick, call % 4 === 3 ? "success" : "failure");
      await clock.advance(100);
    }
    assert.equal(sick.ejection.cause, undefined, "nineteen are too few to tell");
    for (let call = 0; call < 2; call++) finish(sick, "failure");
    assert.equal(sick.ejection.cause, "failing");
  });

  it("is not left by calls that mostly succeed, nor by failures that lie far apart", async () => {
    const { clock, rotation } = make(3);
    const [tired] = rotation.all as [Endpoint];
    for (let call = 0; call < 100; call++) {
      finish(tired, call % 5 < 2 ? "failure" : "success");
      await clock.advance(50);
    }
    assert.equal(tired.ejection.cause, undefined, "three of five succeed");
    await clock.advance(10_000);
    for (let call = 0; call < 40; call++) {
      finish(tired, call % 4 === 3 ? "success" : "failure");
      await clock.advance(1_000);
    }
    assert.equal(tired.ejection.cause, undefined, "ten calls in ten seconds are too few");
  });

  it("counts the successes before a burst of failures, as far as they lie within ten seconds", async () => {
    const { clock, rotation } = make(3);
    const [busy] = rotation.all as [Endpoint];
    finish(busy, "failure");
    for (let call = 0; call < 1_000; call++) {
      finish(busy, "success");
      await clock.advance(20);
    }
    for (let call = 0; call < 40; call++) finish(busy, call % 4 === 3 ? "success" : "failure");
    assert.equal(busy.ejection.cause, undefined, "500 of the last 540 succeeded");
  });

  it("is left alone for as long as it asked, a minute at most, and then tried", async () => {
    const { clock, rotation, events } = make(4);
    const [first, second] = rotation.all as [Endpoint, Endpoint];
    first.ejection.askedMs = 3_000;
    finish(first, "overloaded");
    second.ejection.askedMs = 86_400_000;
    finish(second, "overloaded");
    assert.deepEqual(events, ["ejected overloaded 3375", "ejected overloaded 60000"]);
    await clock.advance(3_300);
    assert.ok(!picked(rotation, 20).has(first));
    await clock.advance(100);
    assert.ok(picked(rotation, 20).has(first));
    finish(first, "success");
    assert.equal(first.ejection.cause, undefined);
  });

  it("leaves nobody alone who would be more than half", () => {
    const { rotation } = make(4);
    for (const endpoint of rotation.all) {
      endpoint.ejection.askedMs = 3_000;
      finish(endpoint, "overloaded");
    }
    assert.equal(rotation.all.filter(({ ejection }) => ejection.cause === "overloaded").length, 2);
  });

  it("picks nobody above the limit of calls in flight, and nobody at all when all are at it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 4 }), (count, maxInFlight) => {
        const { rotation } = make(count, [], { maxInFlight });
        for (let call = 0; call < count * maxInFlight; call++) {
          assert.equal(rotation.isFull, false);
          choose(rotation).begin(0);
        }
        assert.ok(rotation.all.every(({ load }) => load.inFlight === maxInFlight));
        assert.equal(rotation.choose(undefined), undefined);
        assert.equal(rotation.isFull, true);
        rotation.all[0]?.end();
        assert.equal(rotation.choose(undefined), rotation.all[0]);
        assert.equal(rotation.choose({ tried: [rotation.all[0] as Endpoint] }), undefined);
      }),
    );
  });

  it("sets no timer for newcomers while it is parked, and catches up with them afterwards", async () => {
    const { clock, rotation, instances } = make(3, [], { slowStartMs: 10_000 });
    await clock.advance(1_000);
    const added = defineInstance({ service: "orders", host: "127.0.0.1", port: 4_000 });
    rotation.setInstances([...instances, added], new Map());
    assert.equal(rotation.all[3]?.weight, 0.1);
    rotation.park(true);
    await clock.advance(5_000);
    assert.equal(clock.pending, 0);
    rotation.park(false);
    assert.equal(rotation.all[3]?.weight, 0.5);
    await clock.advance(5_000);
    assert.deepEqual([rotation.all[3]?.weight, clock.pending], [1, 0]);
  });

  it("never loses more than half to failures, nor its last one", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.array(fc.nat(11), { maxLength: 200 }), (count, failing) => {
        const { rotation } = make(count);
        for (const index of failing) finish(rotation.all[index % count] as Endpoint, "failure");
        const out = rotation.all.filter(({ ejection }) => ejection.cause !== undefined).length;
        assert.ok(out <= count / 2 && out < count);
        assert.ok(choose(rotation));
      }),
    );
  });

  it("panics when most are gone, and even then calls nobody who refused while another is left", () => {
    const { rotation, events } = make(4);
    const [first, second, third, fourth] = rotation.all as [Endpoint, Endpoint, Endpoint, Endpoint];
    for (let call = 0; call < 5; call++) finish(first, "failure");
    for (const dead of [second, third]) finish(dead, "refused");
    assert.deepEqual(picked(rotation, 20), new Set([first, fourth]));
    assert.ok(events.includes("panic true"));
    finish(first, "success");
    assert.equal(first.ejection.cause, undefined);
  });

  it("tries the refused again when nobody else is left", () => {
    const { rotation } = make(2);
    for (const endpoint of rotation.all) finish(endpoint, "refused");
    assert.equal(picked(rotation, 10).size, 2);
    finish(rotation.all[0] as Endpoint, "success");
    assert.deepEqual(picked(rotation, 10), new Set([rotation.all[0]]));
  });

  it("gives a trial whose caller never reports to the next one", async () => {
    const { clock, rotation } = make(2);
    const dead = choose(rotation);
    end(dead, "refused");
    await clock.advance(1_000);
    assert.ok(picked(rotation, 4).has(dead));
    assert.ok(!picked(rotation, 4).has(dead));
    await clock.advance(30_000);
    assert.ok(picked(rotation, 4).has(dead));
  });

  it("asks at once for another trial when the caller gave up", async () => {
    const { clock, rotation } = make(2);
    const dead = choose(rotation);
    end(dead, "refused");
    await clock.advance(1_000);
    while (choose(rotation) !== dead);
    end(dead, "cancelled");
    assert.equal(choose(rotation), dead);
  });

  it("prefers a worse tier that answers to a better one that refuses", () => {
    const { rotation } = make(3, ["healthy", "draining", "unstable"]);
    assert.deepEqual(picked(rotation, 6), new Set([rotation.all[0]]));
    finish(rotation.all[0] as Endpoint, "refused");
    assert.deepEqual(picked(rotation, 6), new Set([rotation.all[2]]));
    finish(rotation.all[2] as Endpoint, "refused");
    assert.deepEqual(picked(rotation, 6), new Set([rotation.all[1]]));
  });
});

describe("a shadow", () => {
  it("reports how often it would have gone elsewhere, and what it could expect there", () => {
    const { rotation } = make(4);
    for (const [index, endpoint] of rotation.all.entries()) endpoint.settle("success", 10 * (index + 1), 0);
    rotation.all[0]?.begin(0);
    const shadow = rotation.shadow(always(0));
    for (let pick = 0; pick < 40; pick++) choose(rotation);
    const report = shadow.stop();
    assert.equal(report.picks, 40);
    assert.equal(report.differed, 30);
    assert.deepEqual([report.live, report.shadow], ["round-robin", "always"]);
    assert.deepEqual(report.expected, {
      live: { latencyMs: 25, inFlight: 0.25 },
      shadow: { latencyMs: 10, inFlight: 1 },
    });
    assert.deepEqual(
      report.shares.map(({ live, shadow }) => [live, shadow]),
      [
        [0.25, 1],
        [0.25, 0],
        [0.25, 0],
        [0.25, 0],
      ],
    );
  });

  it("changes nobody's turn, sees who is usable now, and ends", () => {
    const { rotation } = make(3);
    const order = Array.from({ length: 3 }, () => choose(rotation));
    const shadow = rotation.shadow(always(0));
    assert.deepEqual(
      Array.from({ length: 3 }, () => choose(rotation)),
      order,
    );
    finish(rotation.all[0] as Endpoint, "refused");
    choose(rotation);
    assert.equal(shadow.report().shares.find(({ id }) => id.endsWith(":3001"))?.shadow, 0.25);
    const { picks } = shadow.stop();
    choose(rotation);
    assert.deepEqual([picks, shadow.stop().picks], [4, 4]);
  });
});

function always(index: number): Balancer {
  let usable: readonly Endpoint[] = [];
  return {
    name: "always",
    create: () => ({
      update: (_all, now) => {
        usable = now;
      },
      pick: () => usable[index],
    }),
  };
}

function make(count: number, statuses: readonly InstanceStatus[] = [], routing: RoutingOptions = {}) {
  const clock = new ManualClock();
  const events: string[] = [];
  const left: Endpoint[] = [];
  const rotation = new Rotation({
    balancer: roundRobin(),
    routing: routingFrom("test", routing),
    ejection: EJECTION,
    clock,
    random: () => 0.5,
    events: {
      ejected: (_endpoint, cause, pauseMs) => events.push(`ejected ${cause} ${pauseMs}`),
      readmitted: () => events.push("readmitted"),
      panic: (panic) => events.push(`panic ${panic}`),
      left: (endpoints) => left.push(...endpoints),
    },
  });
  const instances = Array.from({ length: count }, (_, index) =>
    defineInstance({ service: "orders", host: "127.0.0.1", port: 3_000 + index, status: statuses[index] ?? "healthy" }),
  );
  rotation.setInstances(instances, new Map());
  return { clock, rotation, events, instances, left };
}

function choose(rotation: Rotation): Endpoint {
  const endpoint = rotation.choose(undefined);
  assert.ok(endpoint);
  return endpoint;
}

function picked(rotation: Rotation, picks: number): Set<Endpoint> {
  return new Set(Array.from({ length: picks }, () => choose(rotation)));
}

function end(endpoint: Endpoint, outcome: Outcome): void {
  endpoint.settle(outcome, 1, 0);
}

function finish(endpoint: Endpoint, outcome: Outcome): void {
  endpoint.begin(0);
  endpoint.settle(outcome, 1, 0);
  endpoint.end();
}
