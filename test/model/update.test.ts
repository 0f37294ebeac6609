import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import { DiscoveryError, defineInstance, type ServiceInstance } from "../../src/index.js";
import { applyUpdate, difference, inOrder, sameInstances } from "../../src/model/update.js";
import { fromEvent, fromWire, toEvent, toWire } from "../../src/wire/json.js";

const lists = fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 0, max: 3 })), {
  selector: ([port]) => port,
  maxLength: 20,
});

describe("difference", () => {
  it("says what to add, update and remove to get from one list to the other", () => {
    fc.assert(
      fc.property(lists, lists, (from, to) => {
        const before = ordered(from);
        const after = ordered(to);
        const known = new Map(before.map((instance) => [instance.id, instance]));
        const differs = difference(before, after);
        for (const { id } of differs?.removed ?? []) assert.ok(known.delete(id));
        for (const instance of [...(differs?.added ?? []), ...(differs?.updated ?? [])])
          known.set(instance.id, instance);
        assert.deepEqual(inOrder(known).map(told), after.map(told));
      }),
    );
  });

  it("agrees with applying the list as an update", () => {
    fc.assert(
      fc.property(lists, lists, (from, to) => {
        const known = new Map(ordered(from).map((instance) => [instance.id, instance]));
        const applied = applyUpdate(known, { type: "reset", instances: ordered(to) });
        assert.equal(applied === undefined, difference(ordered(from), ordered(to)) === undefined);
        assert.deepEqual(inOrder(known).map(told), ordered(to).map(told));
      }),
    );
  });
});

describe("sameInstances", () => {
  it("says whether there is a difference", () => {
    fc.assert(
      fc.property(lists, lists, fc.boolean(), (from, other, alike) => {
        const [before, after] = [ordered(from), ordered(alike ? from : other)];
        assert.equal(sameInstances(before, after), difference(before, after) === undefined);
      }),
    );
  });
});

describe("the wire", () => {
  it("gives back the instance it was given", () => {
    const instance = defineInstance({
      service: "Orders",
      host: "::FFFF:10.0.0.1",
      port: 1,
      weight: 0.25,
      zone: "a",
      version: "1",
      tags: ["x", "x"],
      metadata: { "a/b": "c" },
      ttlMs: 5_000,
    });
    assert.deepEqual(fromWire(JSON.parse(JSON.stringify(toWire(instance)))), instance);
    assert.equal(instance.service, "orders");
    assert.deepEqual(instance.tags, ["x"]);
  });

  it("leaves out the record that cannot be read and counts it", () => {
    const good = toWire(defineInstance({ service: "orders", host: "a", port: 1 }));
    const update = fromEvent({
      event: "snapshot",
      epoch: "e",
      revision: 1,
      instances: [good, { ...good, port: 0 }, null as never, { ...good, host: "a b" }],
    });
    assert.equal(update?.type === "reset" && update.instances.length, 1);
    assert.equal(update?.type === "reset" && update.invalid, 3);
  });

  it("carries every kind of update there and back", () => {
    const instance = defineInstance({ service: "orders", host: "a", port: 1 });
    const updates = [
      { type: "reset", instances: [instance], position: "e:3", epoch: "e", warming: true },
      {
        type: "change",
        upserted: [instance],
        removed: [{ id: "x", reason: "expired" }],
        since: "e:2",
        position: "e:3",
        epoch: "e",
      },
      { type: "current", position: "e:3", epoch: "e" },
      { type: "absent", epoch: "e", warming: false },
    ] as const;
    for (const update of updates) {
      const { invalid, ...back } = {
        invalid: undefined,
        ...fromEvent(JSON.parse(JSON.stringify(toEvent("orders", update)))),
      };
      assert.deepEqual(back, update);
      assert.ok(!invalid);
    }
  });
});

describe("DiscoveryError", () => {
  it("is told by its code, even if it comes from another copy of this package", () => {
    const foreign = Object.assign(new Error("x"), { name: "DiscoveryError", code: "TIMEOUT" });
    assert.ok(DiscoveryError.is(foreign, "TIMEOUT"));
    assert.ok(!DiscoveryError.is(foreign, "CLOSED"));
    assert.ok(!DiscoveryError.is(Object.assign(new Error("x"), { code: "TIMEOUT" })));
    assert.equal(new DiscoveryError("TIMEOUT", "x").retryable, true);
    assert.equal(new DiscoveryError("CLOSED", "x").retryable, false);
  });
});

function ordered(entries: readonly (readonly [number, number])[]): readonly ServiceInstance[] {
  const made = entries.map(([port, weight]) => defineInstance({ service: "orders", host: "a", port, weight }));
  return inOrder(new Map(made.map((instance) => [instance.id, instance])));
}

function told({ id, weight }: ServiceInstance): string {
  return `${id} ${weight}`;
}
