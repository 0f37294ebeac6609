import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { type BalancerName, balancerNamed } from "../../src/index.js";

const NAMES: readonly BalancerName[] = [
  "round-robin",
  "random",
  "least-requests",
  "latency-weighted",
  "adaptive",
  "consistent-hash",
];

describe("balancerNamed", () => {
  it("gives each balancer by the name it bears", () => {
    for (const name of NAMES) assert.equal(balancerNamed(name).name, name);
  });

  it("says which name was probably meant, and in which option", () => {
    assert.throws(() => balancerNamed("consistenthash" as BalancerName, "resolver.services.orders.balancer"), {
      code: "INVALID_OPTION",
      message: /^resolver\.services\.orders\.balancer "consistenthash" is no balancer: did you mean consistent-hash\?/,
    });
    assert.throws(() => balancerNamed("toString" as BalancerName), /known are round-robin, random/);
  });
});
