import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MUTANTS } from "./mutants.mjs";

/** Seeds after which a mutant counts as not caught. */
const SEEDS = 200;
const AT_ONCE = 2;
/** The worlds in which mutants are hunted: short, with few instances. */
const SHORT = { hours: 0.2 };

/**
 * Breaks a copy of the library in each way of the list, and looks for a seed that notices.
 *
 * @returns one row per mutant; without `id` where it survived
 */
export async function hunt({ dist, only, child }) {
  const waiting = MUTANTS.filter(({ name }) => only === undefined || name === only);
  const rows = new Map(waiting.map(({ name }) => [name, undefined]));
  const hunter = async () => {
    for (let mutant = waiting.shift(); mutant; mutant = waiting.shift()) {
      rows.set(mutant.name, await hunted(dist, mutant, child));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, hunter));
  return [...rows.values()];
}

async function hunted(dist, { name, file, find, replace, weights, profile }, child) {
  const place = join(dist, "..", ".cache", "mutants", `${name.replaceAll(/\W+/g, "-")}-${process.pid}`);
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true }); // below the project: its packages are found from there
  try {
    cpSync(dist, place, { recursive: true });
    const text = readFileSync(join(place, file), "utf8");
    const parts = text.split(find);
    if (parts.length !== 2) throw new Error(`Mutant "${name}" applies ${parts.length - 1} times to ${file}: ${find}`);
    writeFileSync(join(place, file), parts.join(replace));
    const worlds = JSON.stringify({ ...SHORT, weights, ...profile });
    const live = (where, seed, seeds) =>
      child(["--step", "1", "--dist", where, "--profile", worlds, "--seed", String(seed), "--seeds", String(seeds)]);
    const { failure, seconds } = await live(place, 1, SEEDS);
    if (failure?.id === "crash") throw new Error(failure.text);
    const healthy = failure && (await live(dist, failure.seed, 1)).failure;
    if (healthy) throw new Error(`The library itself fails: ${healthy.text}`); // then nothing was shown of the mutant
    return { name, id: failure?.id, seed: failure?.seed, seconds };
  } catch (error) {
    return { name, error: error.message, seconds: 0 };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** What came of the hunt, for people. */
export function table(rows) {
  const lines = rows.map(({ name, id, seed, seconds, error }) => {
    if (error) return `${name.padEnd(52)} ERROR ${error}`;
    const caught = id ? `${id.padEnd(5)} seed ${String(seed).padEnd(4)}` : "SURVIVED".padEnd(15);
    return `${name.padEnd(52)} ${caught} ${seconds.toFixed(1)} s`;
  });
  const survivors = rows.filter(({ id }) => id === undefined).length;
  return [...lines, `${rows.length} mutants, ${rows.length - survivors} caught, ${survivors} survived`].join("\n");
}
