import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "vitest";

interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly find: string;
}

const { MUTANTS } = (await import(String(new URL("mutants.mjs", import.meta.url)))) as {
  readonly MUTANTS: readonly Mutant[];
};
const DIST = new URL("../../dist/", import.meta.url);

describe("the simulation's mutants", () => {
  it("each find what they break, once", () => {
    const lost = MUTANTS.filter(({ file, find }) => readFileSync(new URL(file, DIST), "utf8").split(find).length !== 2);
    assert.deepEqual(
      lost.map(({ name }) => name),
      [],
    );
  });
});
