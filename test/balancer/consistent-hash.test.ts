import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { beforeAll, describe, it } from "vitest";
import type { Picker } from "../../src/balancer/balancer.js";
import { HashRing } from "../../src/balancer/hash-ring.js";
import { Endpoint } from "../../src/endpoint/endpoint.js";
import { consistentHash, defineInstance } from "../../src/index.js";
import { crowd, pickerOver } from "./crowd.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const KEYS = Array.from({ length: 20_000 }, (_, index) => `user-${index}`);

describe("consistentHash", () => {
  it("spreads keys within 25 % of the mean with a ring, and within 1 % with Maglev", () => {
    const all = crowd(100);
    const keys = Array.from({ length: 400_000 }, (_, index) => `user-${index}`);
    const most = (picker: Picker): number => Math.max(...countsOf(picker, all, keys)) / (keys.length / 100);
    const chance = 3 / Math.sqrt(keys.length / 100); // what counting only so many keys adds
    assert.ok(most(pickerOver(consistentHash(), all)) < 1.25 + chance);
    assert.ok(most(pickerOver(consistentHash({ algorithm: "maglev" }), all)) < 1.01 + chance);
  });

  it("gives every process the same owner, in whatever order it learned of the instances", () => {
    for (const algorithm of ["ring", "maglev"] as const) {
      const all = crowd(20);
      const owners = ownersOf(pickerOver(consistentHash({ algorithm }), all, 1));
      const other = consistentHash({ algorithm }).create(2);
      for (const count of [3, 11, 2, 20]) {
        const some = all.slice(-count).reverse();
        other.update(some, some);
      }
      assert.deepEqual(ownersOf(other), owners);
    }
  });

  it("moves only keys of the one that leaves, and they come back with it", () => {
    const all = crowd(50);
    const picker = pickerOver(consistentHash(), all);
    const before = ownersOf(picker);
    const gone = all[17] as Endpoint;
    const left = all.filter((endpoint) => endpoint !== gone);
    picker.update(left, left);
    const after = ownersOf(picker);
    const moved = before.filter((owner, index) => owner !== after[index]);
    assert.ok(
      moved.every((id) => id === gone.instance.id),
      "no key of another moved",
    );
    assert.ok(moved.length / KEYS.length < 1 / 50 + 0.02);
    picker.update(all, all);
    assert.deepEqual(ownersOf(picker), before);
  });

  it("moves at most 2 % more than it must with Maglev", () => {
    const all = crowd(50);
    const picker = pickerOver(consistentHash({ algorithm: "maglev" }), all);
    const before = ownersOf(picker);
    picker.update(all.slice(1), all.slice(1));
    const after = ownersOf(picker);
    const moved = before.filter((owner, index) => owner !== after[index]).length;
    assert.ok(moved / KEYS.length < 1 / 50 + 0.02, `${moved}`);
  });

  it("spreads the keys of one who is not usable over many, and gives them back", () => {
    for (const algorithm of ["ring", "maglev"] as const) {
      const all = crowd(20);
      const picker = pickerOver(consistentHash({ algorithm }), all);
      const before = ownersOf(picker);
      const out = all[5] as Endpoint;
      picker.update(
        all,
        all.filter((endpoint) => endpoint !== out),
      );
      const after = ownersOf(picker);
      const heirs = new Set(after.filter((_, index) => before[index] === out.instance.id));
      assert.ok(heirs.size > 10 && !heirs.has(out.instance.id));
      assert.ok(before.every((owner, index) => owner === out.instance.id || owner === after[index]));
      picker.update(all, all);
      assert.deepEqual(ownersOf(picker), before);
    }
  });

  it("leads to the same owners whether the unusable are many or have left", () => {
    const all = crowd(40);
    const usable = all.filter((_, index) => index % 5 === 0);
    const picker = consistentHash().create(1);
    picker.update(all, usable);
    assert.deepEqual(ownersOf(picker), ownersOf(pickerOver(consistentHash(), usable)));
    const most = all.filter((_, index) => index % 5 !== 0);
    picker.update(all, most);
    assert.deepEqual(ownersOf(picker), ownersOf(pickerOver(consistentHash(), most)));
  });

  it("retries a key at the instance that would own it next, the same from everywhere", () => {
    const all = crowd(10);
    const picker = pickerOver(consistentHash(), all, 1);
    const elsewhere = pickerOver(consistentHash(), all, 2);
    for (const key of KEYS.slice(0, 200)) {
      const tried: Endpoint[] = [];
      for (let attempt = 0; attempt < all.length; attempt++) {
        const endpoint = picker.pick({ key, tried }) as Endpoint;
        assert.ok(!tried.includes(endpoint));
        assert.equal(elsewhere.pick({ key, tried }), endpoint);
        const left = all.filter((each) => !tried.includes(each));
        if (attempt === 1) assert.equal(pickerOver(consistentHash(), left).pick({ key }), endpoint);
        tried.push(endpoint);
      }
      assert.equal(picker.pick({ key, tried }), undefined);
    }
  });

  it("hashes the hash_key of an instance, so that keys follow it to another address", () => {
    const named = crowd(5, (index) => ({ metadata: { hash_key: `shard-${index}` } }));
    const moved = crowd(5, (index) => ({ port: 20_000 + index, metadata: { hash_key: `shard-${index}` } }));
    const shardOf = (picker: Picker, key: string) => picker.pick({ key })?.instance.metadata["hash_key"];
    const before = pickerOver(consistentHash(), named);
    const after = pickerOver(consistentHash(), moved);
    for (const key of KEYS.slice(0, 500)) assert.equal(shardOf(after, key), shardOf(before, key));
  });

  it("lets one that shares another's hash_key stand in for it", () => {
    const twins = crowd(4, (index) => ({ metadata: { hash_key: `shard-${index >> 1}` } }));
    const picker = consistentHash().create(1);
    picker.update(twins, twins);
    assert.deepEqual(new Set(ownersOf(picker)), new Set([twins[0]?.instance.id, twins[2]?.instance.id]));
    picker.update(twins, twins.slice(1));
    assert.deepEqual(new Set(ownersOf(picker)), new Set([twins[1]?.instance.id, twins[2]?.instance.id]));
  });

  it("lets nobody have more in flight than its bound allows, however popular its keys", () => {
    for (const algorithm of ["ring", "maglev"] as const) {
      fc.assert(
        fc.property(
          fc.integer({ min: 2, max: 20 }),
          fc.array(fc.record({ key: fc.integer({ min: 0, max: 3 }), end: fc.boolean() }), {
            minLength: 50,
            maxLength: 300,
          }),
          (count, steps) => {
            const all = crowd(count);
            const bounds = { factor: 1.5, floor: 2 };
            const picker = pickerOver(consistentHash({ algorithm, boundedLoad: bounds }), all);
            const under: Endpoint[] = [];
            for (const { key, end } of steps) {
              if (end) under.shift()?.end();
              const endpoint = picker.pick({ key: `hot-${key}` }) as Endpoint;
              const cap = Math.max(bounds.floor, Math.ceil((bounds.factor * (under.length + 1)) / count));
              endpoint.begin(0);
              under.push(endpoint);
              assert.ok(endpoint.load.inFlight <= cap, `${endpoint.load.inFlight} in flight where ${cap} may be`);
            }
          },
        ),
        { seed: 42, numRuns: 50 },
      );
    }
  });

  it("bounds nothing unless asked", () => {
    const all = crowd(3);
    const picker = pickerOver(consistentHash(), all);
    const owner = picker.pick({ key: "hot" }) as Endpoint;
    for (let call = 0; call < 100; call++) owner.begin(0);
    assert.equal(picker.pick({ key: "hot" }), owner);
  });

  it("refuses options that mean nothing, by name", () => {
    assert.throws(
      () => consistentHash({ algorithm: "rign" as "ring" }),
      /consistentHash\.algorithm must be one of ring/,
    );
    assert.throws(
      () => consistentHash({ boundedLoad: { factor: 0.5 } }),
      /boundedLoad\.factor must be a number from 1/,
    );
    assert.throws(() => consistentHash({ boundedLoads: true } as never), /did you mean boundedLoad\?/);
  });
});

describe("consistentHash without a key", () => {
  beforeAll(() => {
    execFileSync("node", [".ci/ready.mjs"], { cwd: ROOT });
  });

  it("spreads calls at random and tells the process once", () => {
    const script = `
      import { consistentHash, createResolver, staticRegistry } from "mcp-discovery";
      const registry = staticRegistry([1, 2, 3].map((port) => ({ service: "orders", host: "127.0.0.1", port })));
      const orders = createResolver({ registry, balancer: consistentHash() }).service("orders");
      await orders.ready();
      const seen = new Set();
      process.on("warning", ({ code, message }) => console.log(code, message));
      for (let call = 0; call < 100; call++) seen.add(orders.choose(undefined));
      setImmediate(() => console.log(seen.size));`;
    const output = execFileSync("node", ["--no-warnings", "--input-type=module", "-e", script], {
      cwd: ROOT,
      encoding: "utf8",
    });
    assert.equal(output.match(/MCP_DISCOVERY_NO_KEY Calls to orders bring no key/g)?.length, 1);
    assert.match(output, /^3$/m);
  });
});

describe("HashRing", () => {
  it("is after any comings, goings and changes of weight what it would be if built at once", () => {
    const changes = fc.array(fc.tuple(fc.integer({ min: 0, max: 39 }), fc.constantFrom(0, 0.5, 1, 2, 3)), {
      minLength: 1,
      maxLength: 25,
    });
    fc.assert(
      fc.property(changes, (steps) => {
        const weights = new Map<number, number>();
        for (let index = 0; index < 30; index++) weights.set(index, 1);
        const grown = new HashRing();
        grown.update(membersOf(weights));
        for (const [index, weight] of steps) {
          if (weight === 0) weights.delete(index);
          else weights.set(index, weight);
          grown.update(membersOf(weights));
        }
        const built = new HashRing();
        built.update(membersOf(weights));
        assert.deepEqual(around(grown), around(built));
      }),
      { seed: 42, numRuns: 40 },
    );
  });

  it("halves its points rather than outgrow its memory", () => {
    const ring = new HashRing();
    ring.update(crowd(50, () => ({ weight: 1_000 })));
    assert.ok(ring.size <= 2 ** 21 && ring.size >= 2 ** 20);
  });
});

function ownersOf(picker: Picker): (string | undefined)[] {
  return KEYS.map((key) => picker.pick({ key })?.instance.id);
}

function countsOf(picker: Picker, all: readonly Endpoint[], keys: readonly string[]): number[] {
  const counts = new Map(all.map((endpoint) => [endpoint, 0]));
  for (const key of keys) {
    const endpoint = picker.pick({ key }) as Endpoint;
    counts.set(endpoint, (counts.get(endpoint) ?? 0) + 1);
  }
  return [...counts.values()];
}

function membersOf(weights: ReadonlyMap<number, number>): Endpoint[] {
  return [...weights]
    .sort(([a], [b]) => a - b)
    .map(([index, weight]) => {
      const instance = defineInstance({ service: "orders", host: "127.0.0.1", port: 10_000 + index, weight });
      return new Endpoint(instance, 0, { judged: () => {} });
    });
}

function around(ring: HashRing): (string | undefined)[] {
  return Array.from({ length: ring.size }, (_, index) => ring.slots[ring.ownerAt(index)]?.instance.id);
}
