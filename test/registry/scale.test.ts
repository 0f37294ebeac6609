import assert from "node:assert/strict";
import { describe, it } from "vitest";
import type { Lease } from "../../src/index.js";
import { stage } from "./stage.js";

/** What walks through, looks up or changes a collection. */
const COUNTED: readonly [object, readonly (string | symbol)[]][] = [
  [Map.prototype, ["get", "set", "has", "delete", "forEach", "keys", "values", "entries", Symbol.iterator]],
  [Set.prototype, ["add", "has", "delete", "forEach", "keys", "values", "entries", Symbol.iterator]],
  [Array.prototype, ["push", "sort", "filter", "map", "find", "indexOf", "includes", "concat", Symbol.iterator]],
  [Array, ["from"]],
  [Object.getPrototypeOf(new Map().entries()), ["next"]],
  [Object.getPrototypeOf(new Set().entries()), ["next"]],
  [Object.getPrototypeOf([][Symbol.iterator]()), ["next"]],
];

describe("a memory registry with many instances", () => {
  it("does no more for a registration, a beat or a goodbye than an empty one", async () => {
    const { registry, register } = stage();
    const around = async (first: number): Promise<number> => {
      let leases: Lease[] = await Promise.all([register(first), register(first + 1)]);
      return counting(async () => {
        leases = await Promise.all([register(first), register(first + 1), register(first + 2)]);
        await registry.renew(leases.map((lease) => ({ lease })));
        for (const lease of leases) await registry.deregister(lease);
      });
    };
    const empty = await around(1);
    for (let port = 1; port <= 20_000; port++) await register(port);
    const full = await around(30_000);
    assert.ok(empty > 20, "the counting counts");
    assert.ok(full <= empty + 5, `${empty} steps, and ${full} among 20,000`);
  });

  it("refuses the first instance too many, and takes it when there is room again", async () => {
    const { registry, register } = stage();
    const leases = [];
    for (let index = 0; index < 100_000; index++) {
      leases.push(await register(1 + (index % 60_000), { service: index < 60_000 ? "orders" : "carts" }));
    }
    await assert.rejects(register(60_001), /OVERLOADED/);
    assert.equal((await register(1)).replaced, true);
    await registry.deregister(leases[1] as (typeof leases)[number]);
    await register(60_001);
    assert.equal(registry.size, 100_000);
    await registry.close();
  });
});

async function counting(task: () => Promise<void>): Promise<number> {
  let count = 0;
  const undo: (() => void)[] = [];
  for (const [owner, names] of COUNTED) {
    for (const name of names) {
      const before = Object.getOwnPropertyDescriptor(owner, name) as PropertyDescriptor;
      const original = before.value as (...args: unknown[]) => unknown;
      const value = function (this: unknown, ...args: unknown[]): unknown {
        count++;
        return Reflect.apply(original, this, args);
      };
      Object.defineProperty(owner, name, { ...before, value });
      undo.push(() => Object.defineProperty(owner, name, before));
    }
  }
  try {
    await task();
  } finally {
    for (const each of undo) each();
  }
  return count;
}
