import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import { roundRobin } from "../../src/balancer/round-robin.js";
import type { Endpoint } from "../../src/endpoint/endpoint.js";
import { crowd } from "./crowd.js";

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

  it("gives nobody two turns more than another, whatever comes, goes and stays between the turns", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 60 }), (seed, before) => {
        const all = endpoints(9);
        const picker = pickerOver(all, seed);
        const seen = counts(picker, before);
        picker.update([...all], [...all]); // a refresh that brings nothing new
        for (const [id, count] of counts(picker, 90 - before)) seen.set(id, (seen.get(id) ?? 0) + count);
        assert.ok([...seen.values()].every((count) => count === 10));
      }),
      { seed: 42, numRuns: 100 },
    );
  });

  it("does not march in step with other fresh processes that make a call or two each", () => {
    const all = endpoints(10);
    const calls = Array(10).fill(0);
    for (let seed = 0; seed < 2_000; seed++) {
      const picker = pickerOver(all, seed);
      for (let call = 0; call < 2; call++) calls[all.indexOf(picker.pick(undefined) as Endpoint)]++;
    }
    assert.ok(Math.max(...calls) < 400 * 1.2, `${calls}`);
  });

  it("makes no neighbour take the calls of those who are out", () => {
    const all = endpoints(10);
    const usable = all.filter((_, index) => index !== 3 && index !== 4);
    const picker = pickerOver(all);
    picker.update(all, usable);
    assert.deepEqual([...counts(picker, 800).values()], Array(8).fill(100));
    const retried = Array(10).fill(0);
    for (let call = 0; call < 9_000; call++)
      retried[all.indexOf(picker.pick({ tried: [usable[0] as Endpoint] }) as Endpoint)]++;
    const most = Math.max(...retried);
    assert.ok(most < (9_000 / 7) * 1.15, `${retried}`);
  });

  it("has nobody to pick when nobody is usable", () => {
    assert.equal(pickerOver([]).pick(undefined), undefined);
  });
});

function endpoints(count: number, weights: readonly number[] = []): Endpoint[] {
  return crowd(count, (index) => ({ weight: weights[index] ?? 1 }));
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
