import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { Membership } from "../../src/consumer/membership.js";
import { defineInstance, type InstanceStatus } from "../../src/model/instance.js";
import type { RegistryUpdate } from "../../src/model/update.js";

describe("a membership", () => {
  it("lets go at once of whoever was draining, though the registry no longer knows the name", () => {
    const membership = new Membership();
    membership.apply(listed("a", [3_000, "draining"], [3_001, "healthy"]), 0);
    assert.ok(membership.apply({ type: "absent", epoch: "a" }, 1).changed);
    assert.deepEqual([...membership.known.keys()], ["orders@127.0.0.1:3001"]);
    assert.deepEqual([...membership.doubted.keys()], ["orders@127.0.0.1:3001"]);
  });

  it("lets go at once of whoever was draining, though the registry began anew", () => {
    const membership = new Membership();
    membership.apply(listed("a", [3_000, "draining"], [3_001, "healthy"]), 0);
    assert.ok(membership.apply(listed("b", [3_002, "healthy"]), 1).changed);
    assert.deepEqual([...membership.known.keys()], ["orders@127.0.0.1:3001", "orders@127.0.0.1:3002"]);
    assert.deepEqual([...membership.doubted.keys()], ["orders@127.0.0.1:3001"]);
  });
});

function listed(epoch: string, ...instances: readonly (readonly [port: number, status: InstanceStatus])[]) {
  const update: RegistryUpdate = {
    type: "reset",
    instances: instances.map(([port, status]) =>
      defineInstance({ service: "orders", host: "127.0.0.1", port, status }),
    ),
    position: `${epoch}:1`,
    epoch,
  };
  return update;
}
