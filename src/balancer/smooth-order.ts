import type { Endpoint } from "../endpoint/endpoint.js";
import { even } from "./members.js";

/** The most work one precomputed round may take, as turns × members: a few milliseconds. */
const MAX_WORK = 2_000_000;
/** The longest round that is kept, in turns. */
const MAX_TURNS = 65_536;
/** Weights count to three decimals. */
const DECIMALS = 1_000;

/**
 * One round of turns in which each endpoint comes up exactly in proportion to its weight, as evenly spread as nginx
 * does it: 5, 1, 1 becomes a a b a c a a. Undefined if the round would be too long to keep (see `EarliestTurn`).
 */
export function smoothOrder(members: readonly Endpoint[]): readonly Endpoint[] | undefined {
  if (even(members)) return members;
  const units = members.map(({ weight }) => Math.max(1, Math.round(weight * DECIMALS)));
  const divisor = units.reduce(greatestCommonDivisor);
  const counts = units.map((unit) => unit / divisor);
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total > MAX_TURNS || total * members.length > MAX_WORK) return undefined;
  return Array.from({ length: total }, turnsOf(members, counts, total));
}

/** Each turn, everybody gains its weight; who has most takes the turn, and pays the total. */
function turnsOf(members: readonly Endpoint[], weights: readonly number[], total: number): () => Endpoint {
  const current = new Float64Array(members.length);
  return () => {
    let most = 0;
    for (let index = 0; index < members.length; index++) {
      current[index]! += weights[index] as number;
      if ((current[index] as number) > (current[most] as number)) most = index;
    }
    current[most]! -= total;
    return members[most] as Endpoint;
  };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
