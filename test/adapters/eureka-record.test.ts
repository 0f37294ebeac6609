import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { durationOf, fromEureka, idInPath, toEureka, ttlOf } from "../../src/adapters/eureka-record.js";
import { defineInstance, type InstanceInput } from "../../src/model/instance.js";

/** As Spring Cloud 4.3.0's client stands in a list of Eureka 2.0.4. */
const SPRING = {
  instanceId: "192.0.2.2:billing:8080",
  hostName: "billing-1.internal",
  app: "BILLING",
  ipAddr: "192.0.2.2",
  status: "UP",
  overriddenStatus: "UNKNOWN",
  port: { $: 8080, "@enabled": "true" },
  securePort: { $: 443, "@enabled": "false" },
  countryId: 1,
  dataCenterInfo: { "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", name: "MyOwn" },
  leaseInfo: { renewalIntervalInSecs: 30, durationInSecs: 90, registrationTimestamp: 1_795_603_025_532 },
  metadata: { "management.port": "8080" },
  vipAddress: "billing",
  secureVipAddress: "billing",
  lastDirtyTimestamp: "1795603024819",
};

describe("an instance in Eureka's terms", () => {
  it("carries what Spring's clients go by", () => {
    const told = toEureka(instance({ zone: "eu-1", weight: 0.25, version: "2.1" }));
    assert.deepEqual(
      [told["app"], told["vipAddress"], told["secureVipAddress"], told["hostName"], told["port"], told["securePort"]],
      ["ORDERS", "orders", "orders", "127.0.0.1", { $: 3_000, "@enabled": "true" }, { $: 3_000, "@enabled": "false" }],
    );
    const { zone, weight, version } = told["metadata"] as Record<string, string>;
    assert.deepEqual([zone, weight, version], ["eu-1", "1", "2.1"]);
  });

  it("is read back as it was", () => {
    const metadata = { zone: "mine", "a/b": "slash", "1": "digit", xmlish: "x", empty: "", "mcp-life": "no life" };
    for (const fields of [
      { weight: 2.5, tags: ["a b"], metadata },
      { protocol: "https", host: "::1" },
    ] as const) {
      const before = instance({ version: "2.1", zone: "eu-1", ...fields });
      const { instances } = fromEureka("orders", { application: { instance: [toEureka(before)] } });
      assert.deepEqual(JSON.parse(JSON.stringify(instances)), [JSON.parse(JSON.stringify(before))]);
    }
  });

  it("has a lease that ends at its ttl, though Eureka doubles what it is told", () => {
    const { leaseInfo } = toEureka(instance());
    assert.deepEqual(leaseInfo, { renewalIntervalInSecs: 10, durationInSecs: 15 });
    assert.equal(ttlOf(durationOf(30_000)), 30_000);
    assert.equal(ttlOf(durationOf(3_001)), 4_000);
  });

  it("has an id that can stand in a path, or none at all", () => {
    assert.equal(idInPath("a b@[::1]:1"), "a%20b%40%5B%3A%3A1%5D%3A1");
    assert.equal(idInPath(".."), "%2E%2E");
    assert.throws(() => idInPath("host/app"), /id must be free of \/ and/);
  });
});

describe("a record that others registered", () => {
  it("is read with their names for things", () => {
    const [read] = listed(SPRING);
    assert.deepEqual(
      [read?.id, read?.service, read?.host, read?.port, read?.protocol, read?.weight, read?.status, read?.ttlMs],
      ["192.0.2.2:billing:8080", "billing", "billing-1.internal", 8_080, "http", 1, "healthy", 180_000],
    );
    assert.equal(read?.metadata["management.port"], "8080");
    assert.equal(read?.incarnation, 1_795_603_024_819);
  });

  it("is spoken to by TLS where its secure port is enabled", () => {
    const [read] = listed({ ...SPRING, securePort: { $: 8_443, "@enabled": "true" } });
    assert.deepEqual([read?.port, read?.protocol], [8_443, "https"]);
  });

  it("has a status for each of Eureka's, and for what Eureka may yet think of", () => {
    const told = ["UP", "DOWN", "STARTING", "OUT_OF_SERVICE", "UNKNOWN", "SLEEPY"].map(
      (status) => listed({ ...SPRING, status })[0]?.status,
    );
    assert.deepEqual(told, ["healthy", "failed", "starting", "draining", "failed", "failed"]);
  });

  it("is reached by its address where its host name is none", () => {
    assert.equal(listed({ ...SPRING, hostName: "billing_1" })[0]?.host, "192.0.2.2");
  });

  it("goes by its host name where it has no id", () => {
    const { instanceId: _, ...record } = SPRING;
    assert.equal(listed(record)[0]?.id, "billing-1.internal");
  });

  it("is in the zone its metadata or its cloud says, with what weight can be read", () => {
    const dataCenterInfo = { name: "Amazon", metadata: { "availability-zone": "eu-west-1a" } };
    assert.equal(listed({ ...SPRING, dataCenterInfo })[0]?.zone, "eu-west-1a");
    assert.equal(listed({ ...SPRING, dataCenterInfo, metadata: { zone: "b" } })[0]?.zone, "b");
    const weights = ["2.5", "-1", "heavy", "9999"].map(
      (weight) => listed({ ...SPRING, metadata: { weight } })[0]?.weight,
    );
    assert.deepEqual(weights, [2.5, 1, 1, 1_000]);
  });

  it("loses what metadata cannot be told, not itself", () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`k${index}`, "v"]));
    const [read] = listed({ ...SPRING, metadata: { "@class": "x", "a b": "y", long: "x".repeat(2_000), ...many } });
    assert.equal(Object.keys(read?.metadata ?? {}).length, 64);
    const empty = { "@class": "java.util.Collections$EmptyMap" };
    assert.deepEqual(Object.keys(listed({ ...SPRING, metadata: empty })[0]?.metadata ?? {}), []);
  });
});

describe("a list", () => {
  it("leaves out one unreadable record, and counts it", () => {
    const body = { application: { instance: [SPRING, { ...SPRING, port: undefined }, null] } };
    const { instances, invalid } = fromEureka("billing", body);
    assert.deepEqual([instances.length, invalid], [1, 2]);
  });

  it("may be a single record with older servers", () => {
    assert.equal(fromEureka("billing", { application: { instance: SPRING } }).instances.length, 1);
  });

  it("is an error if it is no application", () => {
    for (const body of [undefined, null, [], {}, { application: "none" }]) {
      assert.throws(() => fromEureka("billing", body), /no application.*\(PROTOCOL\)/);
    }
  });
});

function listed(record: object) {
  return fromEureka("billing", { application: { instance: [record] } }).instances;
}

function instance(fields: Partial<InstanceInput> = {}) {
  const life = { ttlMs: 30_000, registeredAt: 5, incarnation: 7 };
  return defineInstance({ service: "orders", host: "127.0.0.1", port: 3_000, ...life, ...fields });
}
