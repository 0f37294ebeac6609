import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { ProbePace } from "../../src/server/probe-pace.js";

describe("ProbePace", () => {
  it("gives turns a second apart, and each address its own", () => {
    const pace = new ProbePace();
    assert.deepEqual(
      [0, 0, 0].map((now) => pace.reserve("a", now)),
      [0, 1_000, 2_000],
    );
    assert.equal(pace.reserve("b", 0), 0);
    assert.equal(pace.reserve("a", 5_000), 0);
  });

  it("lets a turn wait when the one before was taken late", () => {
    const pace = new ProbePace();
    assert.deepEqual([pace.reserve("a", 0), pace.reserve("a", 0)], [0, 1_000]);
    assert.equal(pace.take("a", 900), 0);
    assert.equal(pace.take("a", 1_000), 900);
    assert.equal(pace.take("a", 1_900), 0);
    assert.equal(pace.reserve("a", 2_000), 900);
  });

  it("forgets addresses whose pause is over, and only those", () => {
    const pace = new ProbePace();
    for (let index = 0; index < 100_000; index++) {
      const now = index * 10;
      assert.equal(pace.reserve(`a${index}`, now), 0);
      assert.equal(pace.reserve(`a${index}`, now), 1_000);
    }
    assert.ok(pace.size < 2_048, String(pace.size));
  });
});
