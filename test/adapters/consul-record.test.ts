import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { fromConsul, toConsul } from "../../src/adapters/consul-record.js";
import { DiscoveryError } from "../../src/model/errors.js";
import { defineInstance, type InstanceInput } from "../../src/model/instance.js";

describe("an instance in Consul", () => {
  it("stands there in clear fields, as Consul's own readers know them", () => {
    const told = toConsul(
      instance({ weight: 3, zone: "eu-1", version: "1.2", tags: ["blue"], metadata: { env: "prod" } }),
    );
    assert.deepEqual(told, {
      ID: "orders@10.0.0.1:80",
      Name: "orders",
      Address: "10.0.0.1",
      Port: 80,
      Tags: ["blue"],
      Meta: {
        env: "prod",
        protocol: "http",
        zone: "eu-1",
        version: "1.2",
        "mcp-ttl-ms": "9000",
        "mcp-registered-ms": "1700000000000",
        "mcp-life": "77",
      },
      Weights: { Passing: 3, Warning: 1 },
      Check: {
        CheckID: "mcp:orders@10.0.0.1:80:77",
        Name: "Heartbeat",
        TTL: "9000ms",
        Status: "passing",
        DeregisterCriticalServiceAfter: "300000ms",
      },
    });
  });

  it("is removed ten ttls after its last beat, where that is longer than five minutes", () => {
    const { Check: check } = toConsul(instance({ ttlMs: 60_000 })) as { Check: Record<string, string> };
    assert.equal(check["DeregisterCriticalServiceAfter"], "600000ms");
  });

  for (const weight of [0, 0.25, 1.5, 1_000]) {
    it(`keeps the weight ${weight}`, () => {
      const { Weights } = toConsul(instance({ weight })) as { Weights: { Passing: number } };
      assert.ok(Number.isInteger(Weights.Passing) && Weights.Passing >= 1);
      assert.equal(roundTrip({ weight }).weight, weight);
    });
  }

  it("loses no metadata, however much the model allows, and stays within Consul's limits", () => {
    const heavy = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`k.${index}`, "€".repeat(120)]));
    const many = Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`k${index}`, "v"]));
    for (const metadata of [
      heavy,
      many,
      { "consul-x": "1", "mcp-life": "2", zone: "3", empty: "", emoji: "😀".repeat(500) },
    ]) {
      const { Meta } = toConsul(instance({ metadata, zone: "eu" })) as { Meta: Record<string, string> };
      const pairs = Object.entries(Meta);
      assert.ok(pairs.length <= 64);
      for (const [key, value] of pairs) assert.ok(/^[A-Za-z0-9_-]+$/.test(key) && Buffer.byteLength(value) <= 512);
      assert.deepEqual({ ...roundTrip({ metadata, zone: "eu" }).metadata }, metadata);
    }
  });

  for (const [checks, status] of [
    [[], "healthy"],
    [["passing", "warning"], "unstable"],
    [["critical", "warning"], "failed"],
    [["maintenance", "warning"], "draining"],
    [["maintenance", "critical"], "failed"],
  ] as const) {
    it(`is ${status} with the checks ${checks.join(", ") || "none"}`, () => {
      assert.equal(read([foreign({}, checks)]).instances[0]?.status, status);
    });
  }

  it("is draining while its whole node is in maintenance", () => {
    const entry = { ...foreign(), Checks: [{ CheckID: "_node_maintenance", Status: "critical", Notes: "" }] };
    assert.equal(read([entry]).instances[0]?.status, "draining");
  });
});

describe("an instance that others registered with Consul", () => {
  it("has its node before its id, and its node's address where it has none", () => {
    const [instance] = read([foreign({ ID: "web", Address: "", CreateIndex: 17 })]).instances;
    assert.deepEqual([instance?.id, instance?.host, instance?.incarnation], ["node-1/web", "10.0.0.9", 17]);
  });

  it("is one of several that share an id on different nodes", () => {
    const nodes = ["a", "b"].map((Node) => ({ ...foreign({ ID: "web" }), Node: { Node, Address: "10.0.0.9" } }));
    assert.deepEqual(
      read(nodes).instances.map(({ id }) => id),
      ["a/web", "b/web"],
    );
  });

  for (const [fields, protocol] of [
    [{ Meta: { scheme: "HTTPS" } }, "https"],
    [{ Meta: { protocol: "grpc" } }, "grpc"],
    [{ Meta: { secure: "true" } }, "https"],
    [{ Tags: ["secure=true"] }, "https"],
    [{ Tags: ["blue", "https"] }, "https"],
    [{ Meta: { protocol: "quic" } }, "http"],
    [{}, "http"],
  ] as const) {
    it(`is spoken to by ${protocol} with ${JSON.stringify(fields)}`, () => {
      assert.equal(read([foreign(fields)]).instances[0]?.protocol, protocol);
    });
  }

  it("is worth its warning weight while a check warns", () => {
    const weights = { Weights: { Passing: 10, Warning: 2 } };
    assert.equal(read([foreign(weights)]).instances[0]?.weight, 10);
    assert.equal(read([foreign(weights, ["warning"])]).instances[0]?.weight, 2);
    assert.equal(read([foreign({ Weights: { Passing: 65_535, Warning: 1 } })]).instances[0]?.weight, 1_000);
  });

  it("is not lost for a tag or a metadata value that is too much for us", () => {
    const [instance] = read([
      foreign({
        Tags: ["x".repeat(200), "ok"],
        Meta: { zone: "", version: "1\n2", a: "b", c: "\u0007", constructor: "d" },
      }),
    ]).instances;
    assert.deepEqual(instance?.tags, ["ok"]);
    assert.deepEqual({ ...instance?.metadata }, { zone: "", a: "b" });
    assert.deepEqual([instance?.zone, instance?.version], [undefined, undefined]);
  });
});

describe("a list of Consul", () => {
  it("stands without the records that cannot be read", () => {
    const bad = [null, 7, {}, foreign({ Port: 70_000 }), foreign({ Port: "80" }), foreign({ Address: "bad host!" })];
    const { instances, invalid } = read([...bad, foreign()]);
    assert.deepEqual([instances.length, invalid], [1, bad.length]);
  });

  it("has an instance that moved to another agent once, and as it is there", () => {
    const old = { ...ours({ weight: 1 }), Checks: [{ CheckID: "mcp:x", Status: "critical" }] };
    for (const entries of [
      [old, ours({ weight: 2 })],
      [ours({ weight: 2 }), old],
    ]) {
      assert.deepEqual(
        read(entries).instances.map(({ weight, status }) => [weight, status]),
        [[2, "healthy"]],
      );
    }
  });

  it("is an error if it is none", () => {
    assert.throws(
      () => read({} as never),
      (error) => DiscoveryError.is(error, "PROTOCOL"),
    );
  });
});

function instance(fields: Partial<InstanceInput> = {}) {
  const life = { ttlMs: 9_000, registeredAt: 1_700_000_000_000, incarnation: 77 };
  return defineInstance({ service: "orders", host: "10.0.0.1", port: 80, ...life, ...fields });
}

/** What Consul answers of what it was told. */
function ours(fields: Partial<InstanceInput> = {}) {
  const { Check: _, Name: service, ...rest } = toConsul(instance(fields));
  return { Node: { Node: "node-1", Address: "10.0.0.9" }, Service: { ...rest, Service: service }, Checks: [] };
}

function roundTrip(fields: Partial<InstanceInput>) {
  const [read] = fromConsul("orders", JSON.parse(JSON.stringify([ours(fields)]))).instances;
  assert.ok(read);
  return read;
}

function read(entries: readonly unknown[]) {
  return fromConsul("orders", entries);
}

function foreign(fields: object = {}, checks: readonly string[] = []) {
  const service = { ID: "web", Service: "orders", Address: "10.0.0.1", Port: 80, Meta: null, Tags: [] };
  return {
    Node: { Node: "node-1", Address: "10.0.0.9" },
    Service: { ...service, ...fields },
    Checks: checks.map((status) =>
      status === "maintenance"
        ? { CheckID: "_service_maintenance:web", Status: "critical", Notes: "" }
        : { CheckID: `service:${status}`, Status: status },
    ),
  };
}
