import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { MASS_LOSS } from "../../src/consumer/doubt.js";
import { Membership } from "../../src/consumer/membership.js";
import { defineInstance, type InstanceStatus, type ServiceInstance } from "../../src/model/instance.js";
import type { RegistryUpdate, RemovalReason } from "../../src/model/update.js";

describe("Membership", () => {
  it("keeps everybody when a list suddenly names nobody, and doubts them", () => {
    const members = knowing(4);
    members.apply(list([]), 0);
    assert.deepEqual(ports(members), [1, 2, 3, 4]);
    assert.equal(members.doubted.size, 4);
    assert.equal(members.suspected, 4);
  });

  it("keeps the last one too", () => {
    const members = knowing(1);
    members.apply(list([]), 0);
    assert.deepEqual(ports(members), [1]);
  });

  it("doubts the loss of more than half of four or more, and believes that of half", () => {
    const doubting = knowing(5);
    doubting.apply(list([1, 2]), 0);
    assert.deepEqual([ports(doubting).length, doubting.doubted.size], [5, 3]);
    const believing = knowing(4);
    believing.apply(list([1, 2]), 0);
    assert.deepEqual([ports(believing), believing.doubted.size], [[1, 2], 0]);
  });

  it("believes that two of three have left", () => {
    const members = knowing(3);
    members.apply(list([1]), 0);
    assert.deepEqual(ports(members), [1]);
  });

  it("believes any loss that somebody decided, however large", () => {
    for (const reason of ["deregistered", "evicted", "replaced"] as const) {
      const members = knowing(4);
      members.apply(removal([1, 2, 3, 4], reason), 0);
      assert.deepEqual(ports(members), [], reason);
    }
  });

  it("doubts a wave of what the registry merely observed", () => {
    for (const reason of ["expired", "probe_failed", undefined] as const) {
      const members = knowing(4);
      members.apply(removal([1, 2, 3, 4], reason), 0);
      assert.deepEqual(ports(members), [1, 2, 3, 4], String(reason));
    }
  });

  it("lets those go at once who were draining when they vanished", () => {
    const members = knowing(4, "draining");
    members.apply(list([]), 0);
    assert.deepEqual(ports(members), []);
  });

  it("keeps everybody as they were when all turn failed at once, and believes it of one", () => {
    const members = knowing(4);
    members.apply(list([1, 2, 3, 4], "failed"), 0);
    assert.deepEqual(statuses(members), ["healthy", "healthy", "healthy", "healthy"]);
    const one = knowing(4);
    one.apply({ ...list([1, 2, 3, 4]), instances: [...instances([1], "failed"), ...instances([2, 3, 4])] } as never, 0);
    assert.deepEqual(statuses(one), ["failed", "healthy", "healthy", "healthy"]);
  });

  it("ends a doubt as soon as the instance is listed again", () => {
    const members = knowing(4);
    members.apply(list([]), 0);
    assert.equal(members.apply(list([2]), 1_000).changed, true);
    assert.deepEqual([...members.doubted.keys()], ["orders@10.0.0.1:1", "orders@10.0.0.1:3", "orders@10.0.0.1:4"]);
  });

  it("lets the dead go when the registry has repeated itself, not before", () => {
    const members = knowing(2);
    members.apply(list([]), 0);
    members.found("orders@10.0.0.1:1", "refused", 100);
    assert.deepEqual(ports(members), [1, 2]);
    assert.equal(members.confirm(4_999).changed, false);
    assert.equal(members.confirm(5_000).changed, true);
    assert.deepEqual(ports(members), [2]);
  });

  it("keeps the living for as long as the registry names nobody else", () => {
    const members = knowing(1);
    members.apply(list([]), 0);
    for (let now = 30_000; now <= 300_000; now += 30_000) {
      members.found("orders@10.0.0.1:1", "alive", now - 1_000);
      members.confirm(now);
      assert.deepEqual(ports(members), [1]);
    }
    members.found("orders@10.0.0.1:1", "refused", 300_100);
    members.confirm(310_000);
    assert.deepEqual(ports(members), []);
  });

  it("believes a registry that has listed others for a whole ttl, even of the living", () => {
    const members = knowing(5);
    members.apply(list([1]), 0);
    members.found("orders@10.0.0.1:2", "alive", 100);
    members.settle(29_999);
    assert.equal(ports(members).length, 5);
    members.settle(30_000);
    assert.deepEqual(ports(members), [1]);
  });

  it("lets those go after one ttl of whom nothing can be found out", () => {
    const members = knowing(1);
    members.apply(list([]), 0);
    members.found("orders@10.0.0.1:1", "unknown", 100);
    assert.equal(members.settle(29_999).changed, false);
    assert.equal(members.settle(30_000).changed, true);
    assert.deepEqual(ports(members), []);
  });

  it("lets go of whoever was draining, though the registry no longer knows the name, or began anew", () => {
    for (const update of [{ type: "absent", epoch: "e" } as const, { ...list([3]), epoch: "f" } as RegistryUpdate]) {
      const members = knowing(1);
      members.apply({ type: "reset", instances: [...instances([1]), ...instances([2], "draining")], epoch: "e" }, 0);
      assert.equal(members.apply(update, 1).changed, true);
      assert.ok(!ports(members).includes(2), update.type);
      assert.deepEqual([...members.doubted.keys()], ["orders@10.0.0.1:1"]);
    }
  });

  it("obeys at once when it was told not to doubt", () => {
    const members = new Membership(undefined);
    members.apply(list([1, 2, 3, 4]), 0);
    members.apply(list([]), 0);
    assert.deepEqual(ports(members), []);
  });

  it("counts neither time nor answers while the registry warms up", () => {
    const members = knowing(2);
    members.apply({ type: "reset", instances: [], position: "f:1", epoch: "f", warming: true }, 0);
    members.found("orders@10.0.0.1:1", "refused", 100);
    members.confirm(20_000);
    members.settle(100_000);
    assert.deepEqual(ports(members), [1, 2]);
    members.apply({ type: "reset", instances: [], position: "f:1", epoch: "f", warming: false }, 100_000);
    assert.equal(members.settle(129_999).changed, false);
    members.settle(130_000);
    assert.deepEqual(ports(members), []);
  });

  it("lets those go in time whom a warming registry had listed itself, and then lost: it did not forget them", () => {
    const losses: Record<string, RegistryUpdate> = {
      observed: { ...removal([1, 2], "expired"), since: "f:1", position: "f:2", epoch: "f" } as RegistryUpdate,
      "no longer listed": { type: "reset", instances: [], position: "f:2", epoch: "f", warming: true },
      unknown: { type: "absent", epoch: "f", warming: true },
    };
    for (const [how, loss] of Object.entries(losses)) {
      const members = knowing(2);
      const listed = { instances: instances([1, 2]), position: "f:1", epoch: "f", warming: true };
      members.apply({ type: "reset", ...listed }, 0);
      members.apply(loss, 1_000);
      members.found("orders@10.0.0.1:1", "refused", 1_100);
      members.confirm(6_000);
      assert.deepEqual(ports(members), [2], how);
      members.settle(30_999);
      assert.deepEqual(ports(members), [2], how);
      members.settle(31_000);
      assert.deepEqual([ports(members), members.warming], [[], true], how);
    }
  });

  it("keeps apart what a warming registry saw go and what it forgot", () => {
    const members = knowing(5);
    members.apply({ type: "reset", instances: instances([1]), position: "f:1", epoch: "f", warming: true }, 0);
    members.apply({ ...removal([1], "expired"), since: "f:1", position: "f:2", epoch: "f" } as RegistryUpdate, 1_000);
    assert.deepEqual([members.doubted.size, [...members.open.keys()]], [5, ["orders@10.0.0.1:1"]]);
    members.settle(200_000);
    assert.deepEqual(ports(members), [2, 3, 4, 5]);
  });

  it("takes nobody's loss for seen once the registry that saw it has begun anew", () => {
    for (const epoch of ["g", undefined]) {
      const members = new Membership(MASS_LOSS);
      members.apply({ type: "reset", instances: instances([1, 2]), position: "f:1", epoch: epoch && "f" }, 0);
      members.apply({ type: "reset", instances: [], position: "f:2", epoch: epoch && "f" }, 1_000);
      members.found("orders@10.0.0.1:1", "refused", 1_100);
      members.apply({ type: "reset", instances: [], position: "g:1", epoch, warming: true }, 2_000);
      members.apply({ type: "reset", instances: [], position: "g:1", epoch, warming: true }, 3_000);
      members.confirm(20_000);
      members.settle(100_000);
      assert.deepEqual(ports(members), [1, 2], String(epoch));
    }
  });

  it("doubts whoever a registry of another life does not list, be it only one", () => {
    const members = knowing(5);
    members.apply({ type: "reset", instances: instances([1, 2, 3, 4]), position: "f:1", epoch: "f" }, 0);
    assert.deepEqual([ports(members).length, members.doubted.size], [5, 1]);
  });
});

function knowing(count: number, status: InstanceStatus = "healthy"): Membership {
  const members = new Membership(MASS_LOSS);
  members.apply(
    list(
      Array.from({ length: count }, (_, index) => index + 1),
      status,
    ),
    0,
  );
  return members;
}

function instances(ports: readonly number[], status: InstanceStatus = "healthy"): ServiceInstance[] {
  return ports.map((port) => defineInstance({ service: "orders", host: "10.0.0.1", port, status }));
}

function list(ports: readonly number[], status?: InstanceStatus): RegistryUpdate {
  return { type: "reset", instances: instances(ports, status), position: "e:1", epoch: "e" };
}

function removal(ports: readonly number[], reason: RemovalReason | undefined): RegistryUpdate {
  const removed = ports.map((port) => ({ id: `orders@10.0.0.1:${port}`, reason }));
  return { type: "change", upserted: [], removed, since: "e:1", position: "e:2", epoch: "e" };
}

function ports(members: Membership): number[] {
  return [...members.known.values()].map(({ port }) => port).sort();
}

function statuses(members: Membership): string[] {
  return [...members.known.values()].map(({ status }) => status);
}
