// Renews docs/comparison.md: the places between its marks, and the charts. Its words are written by hand. All figures, for
// whoever wants to look closer, are left in .cache/comparison.json.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { chartsOf } from "./charts.mjs";
import { tablesOf } from "./tables.mjs";

const PAGE = new URL("../../../docs/comparison.md", import.meta.url);
const FOLDER = new URL("../../../docs/comparison/", import.meta.url);
const CACHE = new URL("../../../.cache/", import.meta.url);

/** Writes all of a run at once, so that no page shows figures of two. */
export function writePage(figures, rounds) {
  mkdirSync(FOLDER, { recursive: true });
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(new URL("comparison.json", CACHE), JSON.stringify(figures, undefined, 2));
  for (const [name, svg] of Object.entries(chartsOf(figures))) writeFileSync(new URL(name, FOLDER), `${svg}\n`);
  let page = readFileSync(PAGE, "utf8");
  for (const [name, text] of Object.entries({ run: runOf(figures, rounds), ...tablesOf(figures) }))
    page = filled(page, name, text);
  writeFileSync(PAGE, page);
}

/** The page with `text` between `<!-- name -->` and `<!-- /name -->`. */
function filled(page, name, text) {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [from, to] = [page.indexOf(open), page.indexOf(close)];
  if (from < 0 || to < from) throw new Error(`docs/comparison.md has no place for ${name}: ${open} … ${close}`);
  return `${page.slice(0, from + open.length)}\n\n${text}\n\n${page.slice(to)}`;
}

function runOf(figures, rounds) {
  const date = new Date().toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
  const [{ model }] = cpus();
  const measured = rounds === 1 ? "one quick round" : `${rounds} rounds`;
  const lines = Object.entries(figures).map(([name, { version, rival, rivalVersion }]) => {
    const client = rivalVersion ? `\`${rival}\` ${rivalVersion}` : `\`${rival}\` by hand`;
    return `- ${NAMES[name]} ${version}, and ${client}`;
  });
  return [`${date}; Node ${process.version}; ${cpus().length} × ${model}; ${measured}.`, "", ...lines].join("\n");
}

const NAMES = {
  embedded: "The embedded registry,",
  etcd: "etcd",
  consul: "Consul",
  nacos: "Nacos",
  eureka: "Eureka (eureka-core)",
};
