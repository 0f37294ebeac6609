import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import { consistentHash } from "../../src/balancer/consistent-hash.js";
import { Rotation } from "../../src/consumer/rotation.js";
import { ANYWHERE } from "../../src/consumer/routing.js";
import { EJECTION } from "../../src/endpoint/ejection.js";
import type { Endpoint } from "../../src/endpoint/endpoint.js";
import { defineInstance } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";

const KEYS = Array.from({ length: 4_000 }, (_, index) => ({ key: `user-${index}` }));
const sizes = fc.integer({ min: 2, max: 60 });
const algorithms = fc.constantFrom("ring", "maglev");

describe("keys, whoever goes", () => {
  it("move with one of N that leaves: its own, and two in a hundred of the others at most", () => {
    fc.assert(
      fc.property(sizes, fc.nat(), algorithms, (count, nth, algorithm) => {
        const { rotation, instances } = make(count, algorithm);
        const before = owners(rotation);
        const gone = instances[nth % count] as (typeof instances)[number];
        rotation.setInstances(
          instances.filter((instance) => instance !== gone),
          new Map(),
        );
        const after = owners(rotation);
        const others = before.filter((owner, index) => owner !== gone.id && owner !== after[index]).length;
        assert.ok(!after.includes(gone.id));
        assert.ok(others <= (algorithm === "ring" ? 0 : 0.02 * KEYS.length), `${others} of others`);
      }),
      { numRuns: 25 },
    );
  });

  it("come home unchanged when one who failed has proved itself, and nobody else's have moved meanwhile", async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(), algorithms, async (count, nth, algorithm) => {
        const { rotation, clock } = make(count, algorithm);
        const before = owners(rotation);
        const sick = rotation.all[nth % count] as Endpoint;
        for (let call = 0; call < EJECTION.consecutiveFailures; call++) end(sick, "failure");
        const meanwhile = owners(rotation);
        assert.ok(!meanwhile.includes(sick.instance.id));
        const moved = before.filter((owner, index) => owner !== sick.instance.id && owner !== meanwhile[index]);
        assert.deepEqual(moved, []);
        await clock.advance(EJECTION.baseMs * 1.25);
        assert.equal(rotation.choose(KEYS[0]), sick, "the trial");
        end(sick, "success");
        assert.deepEqual(owners(rotation), before);
      }),
      { numRuns: 25 },
    );
  });
});

function make(count: number, algorithm: "ring" | "maglev") {
  const clock = new ManualClock();
  const instances = Array.from({ length: count }, (_, index) =>
    defineInstance({ service: "orders", host: "127.0.0.1", port: 10_000 + index }),
  );
  const rotation = new Rotation({
    balancer: consistentHash({ algorithm }),
    routing: ANYWHERE,
    ejection: EJECTION,
    clock,
    random: () => 0.5,
    events: { ejected: () => {}, readmitted: () => {}, panic: () => {}, left: () => {} },
  });
  rotation.setInstances(instances, new Map());
  return { clock, rotation, instances };
}

function owners(rotation: Rotation): (string | undefined)[] {
  return KEYS.map((context) => rotation.choose(context)?.instance.id);
}

function end(endpoint: Endpoint, outcome: "success" | "failure"): void {
  endpoint.begin(1);
  endpoint.settle(outcome, 1, 2);
  endpoint.end();
}
