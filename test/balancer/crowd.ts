import type { Balancer, PickContext, Picker } from "../../src/balancer/balancer.js";
import { Endpoint } from "../../src/endpoint/endpoint.js";
import { SharedLoad } from "../../src/endpoint/shared-load.js";
import { defineInstance, type InstanceInput } from "../../src/index.js";

/** Endpoints of one service, in the order of their ids; each may differ in some fields. */
export function crowd(
  count: number,
  differ: (index: number) => Partial<InstanceInput> = () => ({}),
  shared = new SharedLoad(0),
  addedAt = 0,
): Endpoint[] {
  return Array.from({ length: count }, (_, index) => {
    const instance = defineInstance({ service: "orders", host: "127.0.0.1", port: 10_000 + index, ...differ(index) });
    return new Endpoint(instance, addedAt, { judged: () => {} }, shared);
  });
}

export function pickerOver(balancer: Balancer, all: readonly Endpoint[], seed = 7): Picker {
  const picker = balancer.create(seed);
  picker.update(all, all);
  return picker;
}

/** How often each was picked, in the order of `all`. */
export function shares(picker: Picker, all: readonly Endpoint[], picks: number, context?: PickContext): number[] {
  const counts = new Map(all.map((endpoint) => [endpoint, 0]));
  for (let pick = 0; pick < picks; pick++) {
    const endpoint = picker.pick(context) as Endpoint;
    counts.set(endpoint, (counts.get(endpoint) ?? 0) + 1);
  }
  return [...counts.values()];
}

/** One call with nothing else in flight. */
export function call(
  endpoint: Endpoint,
  latencyMs: number,
  now: number,
  outcome: "success" | "failure" = "success",
): void {
  endpoint.begin(now - latencyMs);
  endpoint.settle(outcome, latencyMs, now);
  endpoint.end();
}

/**
 * Pearson's χ² over its degrees of freedom, as a distance in standard deviations from what chance gives: above 4, it was
 * not chance.
 */
export function surprise(counts: readonly number[], weights: readonly number[]): number {
  const picks = counts.reduce((sum, count) => sum + count, 0);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let sum = 0;
  for (const [index, count] of counts.entries()) {
    const expected = (picks * (weights[index] ?? 0)) / total;
    sum += (count - expected) ** 2 / expected;
  }
  const freedom = counts.length - 1;
  return (sum - freedom) / Math.sqrt(2 * freedom);
}
