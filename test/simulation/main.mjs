// npm run simulate -- [--seed N] [--hours H | --seeds N] [--mutants [NAME]] [--json]
import { execFile } from "node:child_process";
import { randomInt } from "node:crypto";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { hunt, table } from "./hunt.mjs";
import { added, run } from "./run.mjs";

const MAIN = fileURLToPath(import.meta.url);
const DIST = fileURLToPath(new URL("../../dist", import.meta.url));
/** Its objects live for one event: with little room for the young a quarter of the time goes into collecting them. */
const ROOM_FOR_YOUNG = "--max-semi-space-size=64";
/** A child that says nothing for this long is stuck, in milliseconds. */
const CHILD_LIMIT_MS = 900_000;

const { values: given } = parseArgs({
  options: {
    seed: { type: "string" },
    hours: { type: "string" },
    seeds: { type: "string" },
    mutants: { type: "boolean", default: false },
    only: { type: "string" },
    json: { type: "boolean", default: false },
    dist: { type: "string", default: DIST },
    step: { type: "string" },
    profile: { type: "string", default: "{}" },
  },
});

process.exit(given.mutants ? await showMutants() : await simulate());

async function simulate() {
  const seed = Number(given.seed ?? randomInt(2 ** 31));
  const bounded = given.hours !== undefined || given.seeds !== undefined;
  const seeds = Number(given.seeds ?? (bounded ? Number.POSITIVE_INFINITY : 1));
  const hours = Number(given.hours ?? Number.POSITIVE_INFINITY);
  const plan = { dist: given.dist, seed, step: 1, seeds, hours, profile: JSON.parse(given.profile) };
  const startedAt = performance.now();
  const isChild = given.step !== undefined;
  const isSmall = seeds < 4;
  const sum = isChild || isSmall ? await run({ ...plan, step: Number(given.step ?? 1) }) : await shared(plan);
  const seconds = (performance.now() - startedAt) / 1_000;
  if (given.json) console.log(JSON.stringify({ ...sum, seconds }));
  else show(seed, sum, seconds);
  return sum.failure ? 1 : 0;
}

/** One process per core; each takes every so manieth seed. */
async function shared({ dist, seed, seeds, hours, profile }) {
  const count = Math.min(4, availableParallelism());
  const children = Array.from({ length: count }, (_, index) => {
    const share = ["--seed", seed + index, "--step", count, "--profile", JSON.stringify(profile), "--dist", dist];
    if (Number.isFinite(seeds)) share.push("--seeds", Math.ceil((seeds - index) / count));
    if (Number.isFinite(hours)) share.push("--hours", hours / count);
    return child(share.map(String));
  });
  return (await Promise.all(children)).reduce(added);
}

/** Runs this file in a process of its own; its answer is the summary, whether a promise was broken or not. */
function child(args) {
  return new Promise((resolve, reject) => {
    const options = { timeout: CHILD_LIMIT_MS, maxBuffer: 2 ** 28 };
    execFile(process.execPath, [ROOM_FOR_YOUNG, MAIN, "--json", ...args], options, (error, stdout, stderr) => {
      const last = stdout.trim().split("\n").at(-1) ?? "";
      if (last.startsWith("{")) resolve(JSON.parse(last));
      else reject(new Error(`a child of the simulation failed: ${stderr || error?.message}`));
    });
  });
}

function show(seed, { seeds, hours, events, faults, failure }, seconds) {
  const profile = given.profile === "{}" ? "" : ` --profile '${given.profile}'`;
  if (failure) console.error(`${failure.text}\n\nAgain: npm run simulate -- --seed ${failure.seed}${profile}`);
  const injected = Object.entries(faults).map(([kind, count]) => `${count} ${kind}`);
  const rate = Math.round(events / seconds);
  console.log(
    `${seeds} seeds from ${seed}: ${hours.toFixed(1)} simulated hours in ${seconds.toFixed(1)} s, ` +
      `${rate} events/s; ${injected.sort().join(", ")}`,
  );
}

async function showMutants() {
  const found = await hunt({ dist: given.dist, only: given.only, child });
  if (given.json) console.log(JSON.stringify(found));
  else console.log(table(found));
  return found.every(({ id }) => id !== undefined) ? 0 : 1;
}
