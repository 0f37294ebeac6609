import type { Endpoint } from "../endpoint/endpoint.js";

/** The longest round that is precomputed: built in a millisecond, and exact for most weights people write. */
const MAX_TURNS = 4_096;
/** With many members, this many turns each. */
const TURNS_PER_MEMBER = 4;
/** Weights count to three decimals. */
const DECIMALS = 1_000;

/**
 * One round of turns in which each endpoint comes up exactly in proportion to its weight, its turns spread evenly;
 * undefined if the round would be too long to keep (see `EarliestTurn`).
 *
 * The j-th of w turns is due at (j + ½) / w of the round; sorted by that, no endpoint has two turns in a row unless
 * its weight leaves no other way.
 */
export function smoothOrder(members: readonly Endpoint[]): readonly Endpoint[] | undefined {
  const first = members[0]?.instance.weight;
  if (members.every(({ instance }) => instance.weight === first)) return members; // also when all are 0
  const weighted = members.filter(({ instance }) => instance.weight > 0);
  const units = weighted.map(({ instance }) => Math.max(1, Math.round(instance.weight * DECIMALS)));
  const divisor = units.reduce(greatestCommonDivisor);
  const total = units.reduce((sum, unit) => sum + unit, 0) / divisor;
  if (total > Math.max(MAX_TURNS, weighted.length * TURNS_PER_MEMBER)) return undefined;
  const turns: { endpoint: Endpoint; due: number }[] = [];
  for (const [index, endpoint] of weighted.entries()) {
    const count = (units[index] as number) / divisor;
    for (let turn = 0; turn < count; turn++) turns.push({ endpoint, due: (turn + 0.5) / count });
  }
  return turns.sort((a, b) => a.due - b.due).map(({ endpoint }) => endpoint);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
