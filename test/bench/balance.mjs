// What each balancer makes of trouble: the scenarios of test/simulation/balance, in virtual time.
import { parseArgs } from "node:util";
import { CONTESTANTS } from "../simulation/balance/contestants.mjs";
import { tableOf } from "../simulation/balance/table.mjs";

const SEEDS = [1, 2, 3, 4, 5];
const { values } = parseArgs({ options: { markdown: { type: "boolean" } }, allowPositionals: true, strict: false });
const names = Object.keys(CONTESTANTS);

/** Prints each scenario as soon as it is played; `--markdown` as a table of that kind. */
export function print() {
  console.log(`\nbalance: p99 / p99.9 in ms (failed calls in %), median of ${SEEDS.length} seeds`);
  if (values.markdown) console.log(line(["scenario", ...names]) + line(["---", ...names.map(() => "---")]).trimEnd());
  const told = values.markdown ? asLine : asBlock;
  tableOf({ seeds: SEEDS, played: (id, { what, figures }) => console.log(told(id, what, figures)) });
}

function asBlock(id, what, figures) {
  const rows = names.map((name) => `  ${name.padEnd(20)}  ${cell(figures[name]).padEnd(20)}  ${more(figures[name])}`);
  return [`\n${id}: ${what}`, ...rows.map((row) => row.trimEnd())].join("\n");
}

function asLine(id, what, figures) {
  return line([`${id}: ${what}`, ...names.map((name) => cell(figures[name]))]).trimEnd();
}

function line(cells) {
  return `| ${cells.join(" | ")} |\n`;
}

function cell({ p99, p999, errors }) {
  return `${p99.toFixed(0)} / ${p999.toFixed(0)}${errors > 0 ? ` (${errors.toPrecision(2)})` : ""}`;
}

function more({ meanMs, halfShareS }) {
  return `mean ${meanMs.toFixed(1)}${halfShareS === undefined ? "" : `; half of its share after ${halfShareS} s`}`;
}
