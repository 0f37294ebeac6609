import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { Recent } from "../../src/registry/recent.js";

describe("Recent", () => {
  it("remembers at least as many as it was told to, and at most twice that", () => {
    const recent = new Recent<number>(10);
    for (let index = 0; index < 1_000; index++) {
      recent.set(`key-${index}`, index);
      for (let back = 0; back < Math.min(10, index + 1); back++) {
        assert.equal(recent.get(`key-${index - back}`), index - back);
      }
      assert.equal(recent.get(`key-${index - 20}`), undefined);
    }
  });

  it("lets the newer word hold", () => {
    const recent = new Recent<string>(1);
    recent.set("a", "older");
    recent.set("a", "newer");
    assert.equal(recent.get("a"), "newer");
  });
});
