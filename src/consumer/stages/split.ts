import type { Endpoint } from "../../endpoint/endpoint.js";
import type { ServiceInstance } from "../../model/instance.js";
import { labelOf } from "./label.js";

/** The group of all whose label is not named. */
const REST = "*";

/** Which share of the traffic goes to which value of a label. */
export interface SplitRule {
  /** `version`, `zone` or a key of the metadata. */
  readonly label: string;
  /** By value; `*` stands for all that are not named. Only their proportion counts. */
  readonly shares: ReadonlyMap<string, number>;
  /** The group an instance belongs to; undefined if it gets nothing. */
  groupOf(instance: ServiceInstance): string | undefined;
}

export function splitRule(label: string, shares: ReadonlyMap<string, number>): SplitRule {
  const groupOf = (instance: ServiceInstance): string | undefined => {
    const value = labelOf(instance, label);
    const group = value !== undefined && shares.has(value) ? value : REST;
    return (shares.get(group) ?? 0) > 0 ? group : undefined;
  };
  return { label, shares, groupOf };
}

/**
 * Changes weights so that each group gets its share however many members it has. A group without usable members leaves
 * its share to the others. The sum of all weights stays as it was.
 */
export function splitWeights(
  members: readonly Endpoint[],
  weights: readonly number[],
  rule: SplitRule,
): readonly number[] {
  const groups = members.map(({ instance }) => rule.groupOf(instance) ?? "");
  const totals = new Map<string, number>();
  for (const [index, group] of groups.entries()) totals.set(group, (totals.get(group) ?? 0) + (weights[index] ?? 0));
  let allWeights = 0;
  let allShares = 0;
  for (const [group, total] of totals) {
    allWeights += total;
    if (total > 0) allShares += rule.shares.get(group) ?? 0;
  }
  if (allShares === 0) return weights;
  return weights.map((weight, index) => {
    const group = groups[index] as string;
    const total = totals.get(group) ?? 0;
    return total === 0 ? 0 : (weight / total) * ((rule.shares.get(group) ?? 0) / allShares) * allWeights;
  });
}
