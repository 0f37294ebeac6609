import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { staticRegistry } from "../../src/adapters/static.js";
import { DiscoveryError } from "../../src/model/errors.js";
import { isRegistrar, type Registry } from "../../src/registry/registry.js";

const { signal } = new AbortController();

describe("staticRegistry", () => {
  it("lists what it was given, in the order of ids, and says afterwards that nothing changed", async () => {
    const registry = staticRegistry([
      { service: "Orders", host: "10.0.0.2", port: 80 },
      { service: "orders", host: "10.0.0.1", port: 80 },
      { service: "carts", host: "10.0.0.3", port: 80 },
    ]);
    const first = await registry.list("orders", { signal });
    assert.deepEqual(first.type === "reset" && first.instances.map(({ host }) => host), ["10.0.0.1", "10.0.0.2"]);
    const since = first.type === "reset" ? first.position : undefined;
    assert.equal((await registry.list("orders", { since, signal })).type, "current");
    assert.deepEqual(await registry.services?.({ signal }), ["carts", "orders"]);
  });

  it("says that it does not know a name, and cannot be registered with or watched", async () => {
    const registry = staticRegistry([]);
    assert.deepEqual(await registry.list("orders", { signal }), { type: "absent" });
    assert.equal(isRegistrar(registry as Registry), false);
    assert.equal(registry.watch, undefined);
  });

  it("names the instance and the field that is wrong", () => {
    const good = { service: "orders", host: "10.0.0.1", port: 80 };
    assert.throws(() => staticRegistry([good, { ...good, port: 0 }]), hasField("staticRegistry[1].port"));
    assert.throws(() => staticRegistry([good, good]), hasField("staticRegistry[1].id"));
    assert.throws(() => staticRegistry(good as never), hasField("staticRegistry"));
  });
});

function hasField(field: string): (error: unknown) => boolean {
  return (error) => DiscoveryError.is(error, "INVALID_OPTION") && error.field === field;
}
