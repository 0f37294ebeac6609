import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, it } from "vitest";

const MAIN = fileURLToPath(new URL("main.mjs", import.meta.url));
/** Seeds that once broke a promise, or nearly did, and their neighbours: they must hold for ever. */
const PINNED = { first: 1, count: 50, worldHours: 0.15 };
const HOURS = Number(process.env["SIM_HOURS"] ?? 100);

interface Summary {
  readonly hours: number;
  readonly seconds: number;
  readonly traces: Readonly<Record<string, string>>;
  readonly failure?: { readonly text: string };
}

interface Hunted {
  readonly name: string;
  readonly id?: string;
  readonly error?: string;
}

describe("the simulation", () => {
  it("lives through the same seed twice in the same way", async () => {
    const args = ["--seed", "7", "--seeds", "2", "--profile", '{"hours":0.5}'];
    const [first, again] = [await simulated<Summary>(args), await simulated<Summary>(args)];
    assert.equal(first.failure?.text, undefined);
    assert.deepEqual(again.traces, first.traces);
  });

  it("keeps every promise in the pinned seeds", async () => {
    const profile = JSON.stringify({ hours: PINNED.worldHours });
    const args = ["--seed", String(PINNED.first), "--seeds", String(PINNED.count), "--profile", profile];
    const { failure } = await simulated<Summary>(args);
    assert.equal(failure?.text, undefined);
  });

  it(`keeps every promise for ${HOURS} hours of seeds nobody has seen`, async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    console.log(`npm run simulate -- --seed ${seed} --hours ${HOURS}`);
    const { failure, hours, seconds } = await simulated<Summary>(["--seed", String(seed), "--hours", String(HOURS)]);
    console.log(`${hours.toFixed(0)} simulated hours in ${seconds.toFixed(0)} s`);
    assert.equal(failure?.text, undefined);
    assert.ok(hours >= HOURS);
  });

  it("notices every mutant", async () => {
    const rows = await simulated<readonly Hunted[]>(["--mutants"]);
    assert.deepEqual(
      rows.filter(({ id }) => id === undefined),
      [],
    );
  });
});

/** Runs the simulation as its user would; a broken promise is an answer too. */
function simulated<T>(args: readonly string[]): Promise<T> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [MAIN, "--json", ...args], { maxBuffer: 2 ** 28 }, (error, stdout, stderr) => {
      const last = stdout.trim().split("\n").at(-1) ?? "";
      if (/^[{[]/.test(last)) resolve(JSON.parse(last) as T);
      else reject(error ?? new Error(stderr));
    });
  });
}
