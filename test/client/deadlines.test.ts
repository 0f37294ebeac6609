import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import { Deadline, Deadlines } from "../../src/client/deadlines.js";
import { RetryBudget } from "../../src/client/retry-budget.js";
import { ManualClock } from "../../src/testing/index.js";

describe("Deadlines", () => {
  it("lets each expire at its time, in order, and none that was removed", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 500 }), fc.boolean()), { maxLength: 40 }),
        async (waits) => {
          const clock = new ManualClock(0);
          const deadlines = new Deadlines(clock);
          const struck: [number, number][] = [];
          const made = waits.map(([ms]) => new Note(() => struck.push([ms, clock.now()])));
          for (const [index, [ms]] of waits.entries()) deadlines.add(made[index] as Note, ms);
          for (const [index, [, removed]] of waits.entries()) if (removed) deadlines.remove(made[index] as Note);
          await clock.advance(600);
          const due = waits.filter(([, removed]) => !removed).map(([ms]) => ms);
          assert.deepEqual(
            struck.map(([ms]) => ms),
            due.sort((a, b) => a - b),
          );
          for (const [ms, at] of struck) assert.ok(at >= ms && at <= ms + 1);
          assert.equal(clock.pending, 0);
        },
      ),
      { numRuns: 100 },
    );
  });

  it("needs one timer for a thousand waits", () => {
    const clock = new ManualClock();
    const deadlines = new Deadlines(clock);
    for (let wait = 0; wait < 1_000; wait++) deadlines.add(new Note(() => {}), clock.now() + 5_000);
    assert.equal(clock.pending, 1);
  });
});

describe("RetryBudget", () => {
  it("allows a fifth of the requests of ten seconds, and a hundred besides", () => {
    const budget = new RetryBudget();
    const now = 1_000_000;
    for (let request = 0; request < 1_000; request++) budget.requested(now);
    let taken = 0;
    while (budget.take(now)) taken++;
    assert.equal(taken, 300);
    assert.equal(budget.take(now + 9_000), false);
    assert.equal(budget.take(now + 10_000), true);
  });
});

class Note extends Deadline {
  readonly #strike: () => void;

  constructor(strike: () => void) {
    super();
    this.#strike = strike;
  }

  expire(): void {
    this.#strike();
  }
}
