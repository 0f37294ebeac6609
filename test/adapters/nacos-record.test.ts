import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { fromNacos, toNacos } from "../../src/adapters/nacos-record.js";
import { defineInstance, enlisted, type InstanceInput } from "../../src/model/instance.js";

describe("toNacos() and fromNacos()", () => {
  it("bring back what an instance says of itself", () => {
    const instance = life({
      id: "one",
      protocol: "https",
      weight: 0.5,
      zone: "eu-1",
      version: "2",
      tags: ["a b", "é"],
      metadata: { "a.b/c": "dots", zone: "not the zone", "mcp-life": "not the life", secure: "not the protocol" },
    });
    const back = read(listed(instance))[0];
    assert.deepEqual({ ...back, metadata: { ...back?.metadata } }, { ...instance, metadata: { ...instance.metadata } });
  });

  for (const status of ["starting", "draining"] as const) {
    it(`keep the weight of an instance that is ${status}, and its status`, () => {
      const host = listed(life({ weight: 3, status }));
      assert.equal(host.weight, 0);
      const [back] = read(host);
      assert.deepEqual([back?.status, back?.weight], [status, 3]);
    });
  }

  it("need few of the 1,024 characters that Nacos grants", () => {
    const text = Object.entries(listed(life({})).metadata)
      .flat()
      .join("");
    assert.ok(text.length < 160, `${text.length} characters`);
  });

  it("take the younger of two addresses under one id, and the living before the failed", () => {
    const [older, younger] = [life({ id: "one", port: 1 }, 1), life({ id: "one", port: 2 }, 2)].map(listed);
    assert.deepEqual(
      read(younger, older).map(({ port }) => port),
      [2],
    );
    assert.deepEqual(
      read({ ...younger, healthy: false }, older).map(({ port }) => port),
      [1],
    );
  });

  it("count what cannot be read, whatever it is", () => {
    const { instances, invalid } = fromNacos("orders", "G@@orders", [
      null,
      7,
      {},
      { ip: "a b", port: 1 },
      listed(life({})),
    ]);
    assert.deepEqual([instances.length, invalid], [1, 4]);
  });
});

function life(fields: Partial<InstanceInput>, registeredAt = 1_000) {
  const instance = defineInstance({ service: "orders", host: "10.0.0.1", port: 80, ...fields });
  return enlisted(instance, { ttlMs: 9_000, registeredAt, incarnation: 2 ** 47 });
}

/** How Nacos lists what it was told. */
function listed(instance: ReturnType<typeof life>) {
  const { ip, port, weight, enabled, clusterName, metadata } = toNacos("orders", instance, "DEFAULT");
  const told = JSON.parse(metadata ?? "") as Record<string, string>;
  return {
    ip,
    port: Number(port),
    weight: Number(weight),
    healthy: true,
    enabled: enabled === "true",
    clusterName,
    metadata: told,
  };
}

function read(...hosts: readonly unknown[]) {
  return fromNacos("orders", "DEFAULT_GROUP@@orders", hosts).instances;
}
