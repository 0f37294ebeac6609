import { CONTESTANTS, HEARING } from "./contestants.mjs";
import { REPORTED, SCENARIOS } from "./scenarios.mjs";
import { play } from "./world.mjs";

/**
 * Plays scenarios with contestants, each with every seed, and keeps the median of each figure.
 *
 * @returns by scenario: what it is, and by contestant its figures
 */
export function tableOf({
  scenarios = Object.keys(SCENARIOS),
  contestants = Object.keys(CONTESTANTS),
  seeds,
  played = () => {},
}) {
  const stages = { ...SCENARIOS, ...REPORTED };
  const players = { ...CONTESTANTS, ...HEARING };
  const table = {};
  for (const id of scenarios) {
    const figures = {};
    for (const name of contestants) {
      figures[name] = medians(seeds.map((seed) => play(stages[id], players[name], seed)));
    }
    table[id] = { what: stages[id].what, figures };
    played(id, table[id]);
  }
  return table;
}

function medians(runs) {
  const middle = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  return Object.fromEntries(Object.keys(runs[0]).map((key) => [key, middle(runs.map((run) => run[key]))]));
}
