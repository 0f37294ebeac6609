import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { beforeAll, describe, it } from "vitest";
import type { Balancer, PickContext } from "../../src/balancer/balancer.js";
import { adaptive, consistentHash, latencyWeighted, leastRequests, random, roundRobin } from "../../src/index.js";
import { crowd, pickerOver } from "./crowd.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BALANCERS: Readonly<Record<string, () => Balancer>> = {
  roundRobin,
  random,
  leastRequests,
  latencyWeighted,
  adaptive,
  ring: () => consistentHash(),
  maglev: () => consistentHash({ algorithm: "maglev" }),
};
const seeded = { seed: 42, numRuns: 50 };

for (const [name, make] of Object.entries(BALANCERS)) {
  describe(`every balancer: ${name}`, () => {
    it("picks weight 0 only when nobody has more", () => {
      const all = crowd(6, (index) => ({ weight: index % 2 }));
      const counts = keyedShares(make(), all, 600);
      assert.ok(counts.every((count, index) => count === 0 || index % 2 === 1));
      const drained = crowd(4, () => ({ weight: 0 }));
      assert.ok(keyedShares(make(), drained, 400).every((count) => count > 0));
    });

    it("gives calls in proportion to weight", () => {
      const weights = [1, 2, 4, 0.5, 2.5];
      const all = crowd(5, (index) => ({ weight: weights[index] as number }));
      const counts = keyedShares(make(), all, 40_000);
      for (const [index, count] of counts.entries()) {
        const fair = (weights[index] as number) * 4_000;
        assert.ok(Math.abs(count / fair - 1) < 0.2, `${count} where ${fair} were fair`);
      }
    });

    it("never picks again who was tried, whoever is usable, and gives up when all were", () => {
      fc.assert(
        fc.property(
          fc.array(fc.record({ usable: fc.boolean(), tried: fc.boolean(), weight: fc.constantFrom(0, 0.5, 1, 3) }), {
            minLength: 1,
            maxLength: 12,
          }),
          fc.string(),
          (cases, key) => {
            const all = crowd(cases.length, (index) => ({ weight: cases[index]?.weight ?? 1 }));
            const usable = all.filter((_, index) => cases[index]?.usable);
            const tried = all.filter((_, index) => cases[index]?.tried);
            const picker = make().create(7);
            picker.update(all, usable);
            const some = usable.some(({ weight }) => weight > 0);
            const left = usable.filter((each) => !tried.includes(each) && (each.weight > 0 || !some));
            const endpoint = picker.pick({ key, tried });
            assert.equal(endpoint !== undefined, left.length > 0);
            if (endpoint) assert.ok(left.includes(endpoint));
          },
        ),
        seeded,
      );
    });

    it("has nobody to pick when nobody is usable, and goes on when somebody is again", () => {
      const all = crowd(3);
      const picker = make().create(7);
      for (const usable of [[], all, [], [all[1] as (typeof all)[0]]]) {
        picker.update(all, usable);
        assert.equal(picker.pick({ key: "a" }) !== undefined, usable.length > 0);
      }
    });
  });
}

describe("every balancer", () => {
  beforeAll(() => {
    execFileSync("node", [".ci/ready.mjs"], { cwd: ROOT });
  });

  it.each([
    ["roundRobin"],
    ["random"],
    ["leastRequests"],
    ["latencyWeighted"],
    ["adaptive"],
    ["consistentHash"],
    ["consistentHash", '{"algorithm":"maglev"}'],
  ])("allocates nothing for a pick: %s %s", (...args) => {
    const script = fileURLToPath(new URL("./allocation-process.mjs", import.meta.url));
    const bytes = Number(execFileSync("node", ["--expose-gc", script, ...args.filter(Boolean)], { encoding: "utf8" }));
    assert.ok(bytes < 1, `${bytes} bytes a pick`);
  });
});

/** A call each millisecond, with keys of its own; each takes 20 ms. */
function keyedShares(balancer: Balancer, all: ReturnType<typeof crowd>, picks: number): number[] {
  const picker = pickerOver(balancer, all);
  const counts = new Map(all.map((endpoint) => [endpoint, 0]));
  const under: { endpoint: (typeof all)[0]; until: number }[] = [];
  for (let pick = 0; pick < picks; pick++) {
    const now = 1_000 + pick;
    while (under[0] && under[0].until <= now) {
      const { endpoint } = under.shift() as (typeof under)[0];
      endpoint.settle("success", 20, now);
      endpoint.end();
    }
    const context: PickContext = { key: `key-${pick}` };
    const endpoint = picker.pick(context) as (typeof all)[0];
    endpoint.begin(now);
    under.push({ endpoint, until: now + 20 });
    counts.set(endpoint, (counts.get(endpoint) ?? 0) + 1);
  }
  return [...counts.values()];
}
