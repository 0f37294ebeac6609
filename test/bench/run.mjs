// Benchmarks as ratios within one run: npm run bench -- pick | request | register | list | notify | cold | balance
// and, which takes minutes and real servers, npm run bench -- comparison
// Every contestant runs in a process of its own; rounds are the outer loop, so that a slow moment hits all alike.
import { fork } from "node:child_process";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";

const AREAS = ["pick", "request", "register", "list", "notify", "cold", "balance"];
/** Only when asked for by name. */
const LONG = ["comparison"];
const ROUNDS = 3;

const asked = process.argv.slice(2).filter((each) => !each.startsWith("-"));
const unknown = asked.filter((each) => ![...AREAS, ...LONG].includes(each));
if (unknown.length > 0) {
  console.error(`No benchmark ${unknown.join(", ")}; there are ${[...AREAS, ...LONG].join(", ")}.`);
  process.exit(2);
}
console.log(
  `${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, best of ${ROUNDS} rounds`,
);
for (const area of asked.length > 0 ? asked : AREAS) await bench(area);

async function bench(area) {
  const { contestants, unit, reference, note, print } = await import(`./${area}.mjs`);
  if (print) return print(); // figures of another kind than ratios
  const best = new Map();
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of Object.keys(contestants)) {
      for (const [key, value] of Object.entries(await alone(area, name))) {
        const cell = `${name}|${key}`;
        best.set(cell, Math.min(best.get(cell) ?? Number.POSITIVE_INFINITY, value));
      }
    }
  }
  console.log(`\n${area}: ${unit}${note ? ` (${note})` : ""}`);
  const keys = [...new Set([...best.keys()].map((cell) => cell.split("|")[1]))];
  const rows = Object.keys(contestants).map((name) => {
    const cells = keys.map((key) => {
      const value = best.get(`${name}|${key}`);
      const base = best.get(`${reference}|${key}`);
      if (value === undefined) return "";
      return !base || key.endsWith("B") ? value.toFixed(1) : `${value.toFixed(2)} (${(base / value).toFixed(2)})`;
    });
    return [name, ...cells];
  });
  table([["", ...keys], ...rows]);
  console.log(`in brackets: speed relative to "${reference}"`);
}

/** Runs one contestant by itself; its last message is its result. */
function alone(area, name) {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL("./contestant-process.mjs", import.meta.url)), [area, name], {
      execArgv: ["--expose-gc"],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    let result;
    child.on("message", (message) => {
      result = message;
    });
    child.once("exit", (code) => (result ? resolve(result) : reject(new Error(`${area} ${name} ended with ${code}`))));
  });
}

function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column] ?? "").length)));
  for (const row of rows)
    console.log(`  ${row.map((cell, column) => String(cell ?? "").padEnd(widths[column])).join("  ")}`);
}
