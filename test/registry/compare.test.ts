import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { staticRegistry } from "../../src/adapters/static.js";
import type { InstanceInput } from "../../src/model/instance.js";
import { compareRegistries } from "../../src/registry/compare.js";
import { memoryRegistry } from "../../src/registry/memory.js";

const ORDERS = { service: "orders", host: "10.0.0.1", port: 80, metadata: { a: "1", b: "2" } };
const CARTS = { service: "carts", host: "10.0.0.1", port: 81 };

describe("compareRegistries", () => {
  it("finds no difference where there is none but the order of things and who granted what when", async () => {
    const second = [CARTS, { ...ORDERS, metadata: { b: "2", a: "1" }, registeredAt: 5, incarnation: 9 }];
    const { equal, compared, services, doubtful } = await compare([ORDERS, CARTS], second);
    assert.deepEqual({ equal, compared, services, doubtful }, { equal: true, compared: 2, services: [], doubtful: [] });
  });

  it("tells who is in one alone, and which fields of the others differ", async () => {
    const second = [
      { ...ORDERS, weight: 3, zone: "eu" },
      { ...ORDERS, port: 90 },
    ];
    const comparison = await compare([ORDERS, CARTS], second);
    assert.equal(comparison.equal, false);
    assert.deepEqual(JSON.parse(JSON.stringify(comparison.services)), [
      { service: "carts", onlyFirst: ["carts@10.0.0.1:81"], onlySecond: [], different: [] },
      {
        service: "orders",
        onlyFirst: [],
        onlySecond: ["orders@10.0.0.1:90"],
        different: [
          {
            id: "orders@10.0.0.1:80",
            fields: [
              { field: "weight", first: 1, second: 3 },
              { field: "zone", first: null, second: "eu" },
            ],
          },
        ],
      },
    ]);
  });

  it("compares the services that were named, and no others", async () => {
    const { equal, compared } = await compare([ORDERS, CARTS], [ORDERS], ["Orders"]);
    assert.deepEqual([equal, compared], [true, 1]);
  });

  it("says which registry's silence proves little", async () => {
    const warming = memoryRegistry();
    const { doubtful } = await compareRegistries(staticRegistry([ORDERS]), warming);
    assert.deepEqual(doubtful, ["second"]);
    await warming.close();
  });

  it("asks for names where a registry cannot tell them", async () => {
    const { services: _, ...nameless } = staticRegistry([ORDERS]);
    await assert.rejects(compareRegistries(nameless, nameless), /compare|name those to compare/);
    assert.equal((await compareRegistries(nameless, nameless, { services: ["orders"] })).equal, true);
  });

  it("fails where a registry fails, rather than to call everything missing", async () => {
    const away = { ...staticRegistry([ORDERS]), list: () => Promise.reject(new Error("away")) };
    await assert.rejects(compareRegistries(staticRegistry([ORDERS]), away), /away/);
  });
});

function compare(first: readonly InstanceInput[], second: readonly InstanceInput[], services?: readonly string[]) {
  return compareRegistries(staticRegistry(first), staticRegistry(second), { services });
}
