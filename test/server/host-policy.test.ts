import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { type HostPolicy, hostCheck } from "../../src/server/host-policy.js";
import { Problem } from "../../src/server/problem.js";

describe("hostCheck", () => {
  it("takes any host from anybody when told so", () => {
    assert.equal(refusal("any", "192.168.1.100", "127.0.0.1"), undefined);
    assert.equal(refusal("any", "orders.internal", "10.0.0.7"), undefined);
  });

  it("takes only the address a registration comes from, in whatever form the socket shows it", () => {
    assert.equal(refusal("peer", "10.0.0.7", "10.0.0.7"), undefined);
    assert.equal(refusal("peer", "10.0.0.7", "::ffff:10.0.0.7"), undefined);
    assert.equal(refusal("peer", "2001:db8::7", "2001:db8::7"), undefined);
    for (const host of ["10.0.0.8", "127.0.0.1", "orders.internal", "2001:db8::8"]) {
      assert.match(refusal("peer", host, "::ffff:10.0.0.7") ?? "", /^403 HOST_NOT_ALLOWED host .*10\.0\.0\.7/);
    }
    assert.match(refusal("peer", "10.0.0.7", "") ?? "", /from nowhere/);
  });

  it("takes addresses in the ranges, and no name that could lead out of them", () => {
    const ranges = ["10.0.0.0/8", "fd00::/16"];
    for (const host of ["10.1.2.3", "::ffff:a01:203", "fd00::1"])
      assert.equal(refusal(ranges, host, "8.8.8.8"), undefined);
    for (const host of ["11.0.0.1", "::ffff:b00:1", "fd01::1", "orders.internal"]) {
      assert.match(refusal(ranges, host, "10.0.0.1") ?? "", /^403 HOST_NOT_ALLOWED host/, host);
    }
  });

  it("refuses what is no policy", () => {
    for (const policy of ["Peer", "10.0.0.0/8", null, 1, ["x"]]) {
      assert.throws(() => hostCheck("server.hostPolicy", policy as HostPolicy), { code: "INVALID_OPTION" });
    }
  });
});

function refusal(policy: HostPolicy, host: string, peer: string): string | undefined {
  try {
    hostCheck("server.hostPolicy", policy)(host, peer);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof Problem);
    return `${error.status} ${error.code} ${error.extra["field"]} ${error.message}`;
  }
}
