import assert from "node:assert/strict";
import { describe, it } from "vitest";
import type { InstanceFailure } from "../../src/registry/memory-events.js";
import { diary, stage } from "./stage.js";

describe("a memory registry's events", () => {
  it("tell the story of an instance that sickens, fails and comes back", async () => {
    const { clock, registry, register, beat } = stage();
    const told = diary(registry);
    const lease = await register(1);
    await clock.advance(16_000);
    for (let count = 0; count < 4; count++) {
      await beat(lease);
      await clock.advance(10_000);
    }
    registry.observe(lease.id, "unstable");
    registry.observe(lease.id, "failed");
    registry.observe(lease.id, "healthy");
    await clock.advance(40_000);
    await register(1);
    assert.deepEqual(told, [
      "unstable 1 by beat",
      "recovered 1 from unstable",
      "unstable 1 by probe",
      "failed 1 probe_failed, 0 left",
      "recovered 1 from failed",
      "unstable 1 by beat",
      "failed 1 expired, 0 left",
      "recovered 1 from failed",
    ]);
  });

  it("say how many are left", async () => {
    const { registry, register } = stage();
    const told = diary(registry);
    for (const port of [1, 2, 3]) registry.observe((await register(port)).id, port > 1 ? "failed" : "healthy");
    assert.deepEqual(told, ["failed 2 probe_failed, 1 left", "failed 3 probe_failed, 1 left"]);
  });

  it("come when the registry already answers accordingly, to whoever asks or acts in a listener", async () => {
    const { clock, registry, register, ports } = stage();
    const leases = [await register(1), await register(2), await register(3)];
    registry.on("failed", ({ instance }) => {
      const others = leases.filter((lease) => lease.instance.port !== instance.port);
      for (const lease of others) void registry.deregister(lease);
    });
    await clock.advance(31_000);
    assert.deepEqual([await ports(), registry.size, registry.suspects], [[], 0, 0]);
    assert.equal(registry.counters.expired, 1);
    assert.equal(registry.counters.deregistered, 2);
  });
});

describe("memoryRegistry({ alarm })", () => {
  it("is called with every instance that fails, and hurts nobody by throwing", async () => {
    const failures: InstanceFailure[] = [];
    const alarm = (failure: InstanceFailure): void => {
      failures.push(failure);
      throw new Error("the pager is out of order");
    };
    const { clock, registry, register } = stage({ alarm });
    const errors: unknown[] = [];
    registry.on("listenerError", ({ error }) => errors.push(error));
    registry.observe((await register(1)).id, "failed");
    await register(2);
    await clock.advance(41_000);
    assert.deepEqual(
      failures.map(({ instance, reason, left }) => [instance.port, reason, left]),
      [
        [1, "probe_failed", 0],
        [2, "expired", 0],
      ],
    );
    assert.equal(errors.length, 2);
  });

  it("is refused if it cannot be called", () => {
    assert.throws(() => stage({ alarm: "page" as never }), /memoryRegistry\.alarm must be a function/);
    assert.throws(() => stage({ probe: {} as never }), /memoryRegistry\.probe must be a function/);
  });
});

describe("a memory registry's counters", () => {
  it("count what has happened", async () => {
    const { clock, registry, register, beat } = stage();
    const older = await register(1, { id: "a" });
    const lease = await register(1, { id: "a" });
    await assert.rejects(register(2, { id: "a" }), /ID_CONFLICT/);
    await beat(lease);
    await beat(older);
    await registry.update(lease, { ...lease.instance, weight: 2 });
    registry.observe(lease.id, "failed");
    registry.observe(lease.id, "healthy");
    await registry.deregister(lease);
    await registry.deregister(lease);
    await register(3);
    await clock.advance(31_000);
    assert.deepEqual(registry.counters, {
      registered: 3,
      renewed: 1,
      updated: 1,
      deregistered: 1,
      replaced: 1,
      conflicts: 1,
      unstable: 1,
      recovered: 1,
      expired: 1,
      probeFailed: 1,
      preserved: 0,
      restored: 0,
    });
  });
});
