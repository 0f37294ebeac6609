import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { roundRobin } from "../../src/balancer/round-robin.js";
import { Endpoint } from "../../src/endpoint/endpoint.js";
import { defineInstance } from "../../src/index.js";

describe("roundRobin", () => {
  it("gives everybody exactly the same over any number of rounds", () => {
    const picker = pickerOver(endpoints(7));
    assert.deepEqual([...counts(picker, 700).values()], Array(7).fill(100));
  });

  it("starts somewhere else in every client, and goes round in another order", () => {
    const all = endpoints(10);
    const firsts = new Set(Array.from({ length: 50 }, (_, seed) => pickerOver(all, seed).pick(undefined)));
    assert.ok(firsts.size > 5);
    const orders = new Set(
      Array.from({ length: 20 }, (_, seed) => roundFrom(pickerOver(all, seed), all[0] as Endpoint, 10).join()),
    );
    assert.ok(orders.size > 15);
  });

  it("is exact by weight over one round, decimals included", () => {
    const picker = pickerOver(endpoints(3, [5, 1, 0.5]));
    assert.deepEqual(
      [...counts(picker, 1_300).values()].sort((a, b) => b - a),
      [1_000, 200, 100],
    );
  });

  it("spreads the turns of a heavy one instead of giving them in a row", () => {
    const [heavy, ...all] = endpoints(4, [3, 1, 1, 1]);
    const picker = pickerOver([heavy as Endpoint, ...all]);
    let inRow = 0;
    let longest = 0;
    for (let turn = 0; turn < 60; turn++) {
      inRow = picker.pick(undefined) === heavy ? inRow + 1 : 0;
      longest = Math.max(longest, inRow);
    }
    assert.ok(longest <= 2, `${longest} in a row where 3 were due`);
  });

  it("is exact for weights without a short common round", () => {
    const picker = pickerOver(endpoints(3, [1_000, 999.999, 0.001]));
    const [first, second, last] = [...counts(picker, 4_000_000).entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, count]) => count);
    assert.ok(Math.abs((first ?? 0) - (second ?? 0)) < 10);
    assert.ok((last ?? 0) >= 1 && (last ?? 0) <= 3);
  });

  it("picks weight 0 only when nobody has more", () => {
    const picker = pickerOver(endpoints(2, [0, 1]));
    assert.equal(counts(picker, 100).size, 1);
    assert.equal(counts(pickerOver(endpoints(2, [0, 0])), 100).size, 2);
  });

  it("goes on with whose turn it was when others come and go", () => {
    const all = endpoints(6);
    const picker = pickerOver(all);
    const round = Array.from({ length: 6 }, () => picker.pick(undefined)) as Endpoint[];
    picker.pick(undefined);
    const gone = round[4] as Endpoint;
    const left = all.filter((endpoint) => endpoint !== gone);
    picker.update(left, left);
    assert.equal(picker.pick(undefined), round[1]);
  });

  it("passes over those already tried, and gives up when all were", () => {
    const all = endpoints(3);
    const picker = pickerOver(all);
    for (let call = 0; call < 9; call++)
      assert.equal(picker.pick({ tried: [all[0] as Endpoint, all[2] as Endpoint] }), all[1]);
    assert.equal(picker.pick({ tried: all }), undefined);
  });

  it("has nobody to pick when nobody is usable", () => {
    assert.equal(pickerOver([]).pick(undefined), undefined);
  });
});

function endpoints(count: number, weights: readonly number[] = []): Endpoint[] {
  return Array.from({ length: count }, (_, index) => {
    const instance = defineInstance({
      service: "orders",
      host: "127.0.0.1",
      port: 3_000 + index,
      weight: weights[index] ?? 1,
    });
    return new Endpoint(instance, 0, { judged: () => {} });
  });
}

function pickerOver(all: readonly Endpoint[], seed = 7) {
  const picker = roundRobin().create(seed);
  picker.update(all, all);
  return picker;
}

function counts(picker: ReturnType<typeof pickerOver>, picks: number): Map<string, number> {
  const seen = new Map<string, number>();
  for (let pick = 0; pick < picks; pick++) {
    const id = picker.pick(undefined)?.instance.id ?? "";
    seen.set(id, (seen.get(id) ?? 0) + 1);
  }
  return seen;
}

function roundFrom(picker: ReturnType<typeof pickerOver>, first: Endpoint, length: number): string[] {
  while (picker.pick(undefined) !== first);
  return Array.from({ length: length - 1 }, () => picker.pick(undefined)?.instance.id ?? "");
}
