import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { Preference, RETURN_AFTER_MS } from "../../src/registry/preference.js";

describe("Preference", () => {
  it("stays with the first, and goes on to the next when it fails", () => {
    const preference = new Preference(3);
    const { moved } = preference;
    preference.failed(1); // nobody asked it
    assert.equal(preference.current, 0);
    preference.failed(0);
    assert.deepEqual([preference.current, moved.aborted], [1, true]);
  });

  it("begins again with the first when the last has failed too", () => {
    const preference = new Preference(2);
    preference.failed(0);
    preference.failed(1);
    assert.equal(preference.current, 0);
  });

  it("stays where it is while that works, until a preferred one has answered for long enough", () => {
    const preference = new Preference(2);
    preference.failed(0);
    preference.answered(0, 1_000);
    preference.answered(0, 1_000 + RETURN_AFTER_MS - 1);
    assert.equal(preference.current, 1);
    preference.answered(0, 1_000 + RETURN_AFTER_MS);
    assert.equal(preference.current, 0);
  });

  it("counts anew after every blink", () => {
    const preference = new Preference(2);
    preference.failed(0);
    preference.answered(0, 0);
    preference.failed(0);
    preference.answered(0, RETURN_AFTER_MS);
    assert.equal(preference.current, 1);
  });
});
