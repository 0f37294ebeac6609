import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import { eligible } from "../../src/consumer/eligible.js";
import { type RoutingOptions, routingFrom } from "../../src/consumer/routing.js";
import { subsetOf } from "../../src/consumer/stages/subset.js";
import { Endpoint } from "../../src/endpoint/endpoint.js";
import { DiscoveryError, defineInstance, type InstanceInput } from "../../src/index.js";

describe("filters", () => {
  it("leave those who meet every demand", () => {
    const all = endpoints(
      { version: "v1.2", tags: ["a", "b"], metadata: { env: "prod" } },
      { version: "1.9.0", tags: ["a"], metadata: { env: "prod" } },
      { version: "2.0.0", tags: ["a", "b"], metadata: { env: "prod" } },
      { version: "1.3.0", tags: ["a", "b"], metadata: { env: "test" } },
      { tags: ["b", "a"], metadata: { env: "prod", version: "1.4.0" } },
      { version: "1.2.0", tags: ["a", "b"], metadata: { env: "prod" }, protocol: "grpc" },
    );
    const options = { tags: ["a", "b"], metadata: { env: "prod" }, version: "^1", protocol: "http" } as const;
    assert.deepEqual(ports(usable(all, options)), [3_000, 3_004]);
  });

  it("hold even when everybody else has failed", () => {
    const all = endpoints({ tags: ["a"] }, { tags: ["a"] }, {}, {});
    for (const endpoint of all.slice(0, 2)) endpoint.ejection.cause = "failing";
    assert.deepEqual(ports(usable(all, { tags: ["a"] })), [3_000, 3_001]);
  });

  it("come before the tier: a worse one that matches is better than a better one that does not", () => {
    const all = endpoints({ status: "draining", tags: ["a"] }, {});
    assert.deepEqual(ports(usable(all, { tags: ["a"] })), [3_000]);
  });
});

describe("the subset", () => {
  it("is as large as asked, in order, and another in every process", () => {
    const all = endpoints(...Array(40).fill({}));
    const drawn = subsetOf(all, 10, 1);
    assert.equal(drawn.length, 10);
    assert.deepEqual(
      drawn,
      all.filter((endpoint) => drawn.includes(endpoint)),
    );
    const processes = new Set(Array.from({ length: 30 }, (_, seed) => ports(subsetOf(all, 10, seed)).join()));
    assert.equal(processes.size, 30);
  });

  it("spreads the processes evenly over the instances", () => {
    const all = endpoints(...Array(20).fill({}));
    const drawn = new Map<Endpoint, number>();
    for (let seed = 0; seed < 2_000; seed++) {
      for (const endpoint of subsetOf(all, 5, seed * 7_919)) drawn.set(endpoint, (drawn.get(endpoint) ?? 0) + 1);
    }
    for (const endpoint of all) {
      const count = drawn.get(endpoint) ?? 0;
      assert.ok(count > 400 && count < 600, `${count} where 500 are due`);
    }
  });

  it("changes by at most one member when one comes or goes", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 60 }),
        fc.integer({ min: 1, max: 30 }),
        fc.nat(),
        fc.nat(),
        (n, k, seed, who) => {
          const all = endpoints(...Array(n).fill({}));
          const before = subsetOf(all, k, seed);
          const after = new Set(
            subsetOf(
              all.filter((_, index) => index !== who % n),
              k,
              seed,
            ),
          );
          assert.ok(before.filter((endpoint) => !after.has(endpoint)).length <= 1);
        },
      ),
    );
  });
});

describe("the zone", () => {
  it("is not left while half of its instances, and two, are in rotation", () => {
    const all = zones(4, 8);
    assert.equal(localShare(all), 1);
    eject(all[0]);
    eject(all[1]);
    assert.equal(localShare(all), 1);
    assert.equal(usable(all, { zone: "near" }).length, 2);
  });

  it("gives away as much of the traffic as it lost, step by step", () => {
    const all = zones(8, 8);
    const shares: number[] = [];
    for (let lost = 0; lost < 8; lost++) {
      shares.push(localShare(all));
      eject(all[lost]);
    }
    assert.deepEqual(shares, [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]);
    assert.equal(localShare(all), 0);
  });

  it("keeps half of the traffic where it has one instance", () => {
    assert.equal(localShare(zones(1, 5)), 0.5);
  });

  it("counts instances in a worse tier as lost", () => {
    const all = endpoints(
      ...Array(3).fill({ zone: "near", status: "draining" }),
      ...Array(1).fill({ zone: "near" }),
      ...Array(4).fill({ zone: "far" }),
    );
    assert.equal(localShare(all), 0.5);
  });

  it("means nothing where nobody is near, or everybody", () => {
    assert.equal(usable(zones(0, 3), { zone: "near" }).length, 3);
    assert.equal(usable(zones(3, 0), { zone: "near" }).length, 3);
  });

  it("never sends a call to nobody, whatever is lost", () => {
    fc.assert(
      fc.property(fc.nat(5), fc.nat(5), fc.array(fc.nat(9)), (near, far, lost) => {
        const all = zones(near, far);
        for (const index of lost) eject(all[index]);
        const left = usable(all, { zone: "near" });
        assert.equal(left.length > 0, all.length > 0);
        if (all.some(({ ejection }) => ejection.cause === undefined)) {
          const total = weightsOf(all, { zone: "near" }).reduce((sum, weight) => sum + weight, 0);
          assert.ok(total > 0);
        }
      }),
    );
  });
});

describe("slow start", () => {
  it("gives a newcomer a tenth at first, then more and more, and at last all", () => {
    const all = endpoints({}, {}, { weight: 2 });
    join(all[2], 1_000);
    const weightAt = (now: number): number => weightsOf(all, { slowStartMs: 10_000 }, now)[2] as number;
    assert.deepEqual(
      [1_000, 1_500, 3_500, 10_999, 11_000].map((now) => Number(weightAt(now).toFixed(2))),
      [0.2, 0.2, 0.5, 2, 2],
    );
  });

  it("holds nobody back who was on the first list, nor where more than half are new", () => {
    const all = endpoints({}, {}, {});
    assert.deepEqual(weightsOf(all, { slowStartMs: 10_000 }, 1), [1, 1, 1]);
    join(all[1], 1_000);
    join(all[2], 1_000);
    assert.deepEqual(weightsOf(all, { slowStartMs: 10_000 }, 1_000), [1, 1, 1]);
  });
});

describe("the split", () => {
  it("gives each value its share, however many instances have it", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 99 }),
        (n1, n2, percent) => {
          const all = endpoints(...Array(n1).fill({ version: "v1" }), ...Array(n2).fill({ version: "v2", weight: 3 }));
          const weights = weightsOf(all, { split: { version: { v1: 100 - percent, v2: percent } } });
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          const second = weights.slice(n1).reduce((sum, weight) => sum + weight, 0);
          assert.ok(Math.abs(second / total - percent / 100) < 1e-9);
          assert.ok(Math.abs(total - n1 - 3 * n2) < 1e-9, "the sum stays");
        },
      ),
    );
  });

  it("gives nothing to values that are not named, unless * is", () => {
    const all = endpoints({ version: "v1" }, { version: "v2" }, { version: "v3" }, {});
    assert.deepEqual(ports(usable(all, { split: { version: { v1: 1, v2: 0 } } })), [3_000]);
    assert.deepEqual(weightsOf(all, { split: { version: { v1: 1, "*": 3 } } }), [1, 1, 1, 1]);
  });

  it("leaves the share of those who are gone to the others", () => {
    const all = endpoints({ version: "v1" }, { version: "v1" }, { version: "v2" }, { version: "v2" });
    eject(all[2]);
    assert.deepEqual(weightsOf(all, { split: { version: { v1: 90, v2: 10 } } }), [1.35, 1.35, 0.3]);
    eject(all[3]);
    assert.deepEqual(weightsOf(all, { split: { version: { v1: 90, v2: 10 } } }), [1, 1]);
  });

  it("goes over a zone or a key of the metadata just as well", () => {
    const all = endpoints({ zone: "a", metadata: { colour: "blue" } }, { metadata: { zone: "b", colour: "green" } });
    assert.deepEqual(weightsOf(all, { split: { zone: { a: 3, b: 1 } } }), [1.5, 0.5]);
    assert.deepEqual(weightsOf(all, { split: { colour: { blue: 1, green: 3 } } }), [0.5, 1.5]);
  });
});

describe("routing options", () => {
  it("are refused by name when they make no sense", () => {
    const wrong: readonly (readonly [unknown, RegExp])[] = [
      [{ version: "latest" }, /^orders\.version must be/],
      [{ tags: "a" }, /^orders\.tags must be/],
      [{ metadata: { a: 1 } }, /^orders\.metadata\.a must be/],
      [{ protocol: "smtp" }, /^orders\.protocol must be/],
      [{ zone: "" }, /^orders\.zone must be/],
      [{ subset: 0 }, /^orders\.subset must be/],
      [{ slowStartMs: -1 }, /^orders\.slowStartMs must be/],
      [{ maxInFlight: 0 }, /^orders\.maxInFlight must be/],
      [{ split: {} }, /^orders\.split must be/],
      [{ split: { version: { v1: 1 }, zone: { a: 1 } } }, /^orders\.split must be/],
      [{ split: { version: { v1: -1 } } }, /^orders\.split\.version\.v1 must be/],
      [{ split: { version: { v1: 0 } } }, /^orders\.split\.version must be/],
    ];
    for (const [options, message] of wrong) {
      assert.throws(
        () => routingFrom("orders", options as RoutingOptions),
        (error) => DiscoveryError.is(error, "INVALID_OPTION") && message.test(error.message),
        JSON.stringify(options),
      );
    }
  });
});

function endpoints(...fields: readonly Partial<InstanceInput>[]): Endpoint[] {
  return fields.map((each, index) => {
    const instance = defineInstance({ service: "orders", host: "127.0.0.1", port: 3_000 + index, ...each });
    return new Endpoint(instance, 0, { judged: () => {} });
  });
}

function zones(near: number, far: number): Endpoint[] {
  return endpoints(...Array(near).fill({ zone: "near" }), ...Array(far).fill({ zone: "far" }));
}

function result(all: readonly Endpoint[], options: RoutingOptions, now = 0) {
  return eligible(all, routingFrom("test", options), { now, firstAt: 0, seed: 1 });
}

function usable(all: readonly Endpoint[], options: RoutingOptions): readonly Endpoint[] {
  return result(all, options).usable;
}

function weightsOf(all: readonly Endpoint[], options: RoutingOptions, now = 0): readonly number[] {
  const found = result(all, options, now);
  return (found.weights ?? found.usable.map(({ instance }) => instance.weight)).map((weight) =>
    Number(weight.toFixed(12)),
  );
}

function localShare(all: readonly Endpoint[]): number {
  const found = usable(all, { zone: "near" });
  const weights = weightsOf(all, { zone: "near" });
  let near = 0;
  let total = 0;
  for (const [index, { instance }] of found.entries()) {
    total += weights[index] as number;
    if (instance.zone === "near") near += weights[index] as number;
  }
  return Number((near / total).toFixed(9));
}

function eject(endpoint: Endpoint | undefined): void {
  if (endpoint) endpoint.ejection.cause = "failing";
}

function join(endpoint: Endpoint | undefined, at: number): void {
  if (endpoint) endpoint.addedAt = at;
}

function ports(endpoints: readonly Endpoint[]): number[] {
  return endpoints.map(({ instance }) => instance.port);
}
