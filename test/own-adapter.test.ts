import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, it } from "vitest";
import { registryContract } from "../src/testing/index.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const EXAMPLE = join(ROOT, "examples/04-own-adapter");
const scratch = mkdtempSync(join(tmpdir(), "mcp-discovery-own-adapter-"));

beforeAll(() => {
  execFileSync("node", [".ci/ready.mjs"], { cwd: ROOT });
  cpSync(EXAMPLE, scratch, { recursive: true });
  mkdirSync(join(scratch, "node_modules"));
  symlinkSync(ROOT, join(scratch, "node_modules", "mcp-discovery"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe("examples/04-own-adapter", () => {
  it("keeps the whole contract of a registry", async () => {
    const { stdout } = await promisify(execFile)("node", ["--test", "--test-reporter=tap"], { cwd: scratch });
    const make = (): never => assert.fail();
    const { length } = registryContract(make, { reasons: false, epoch: false, faults: ["spoil"] });
    assert.equal(stdout.match(/^ {4}ok /gm)?.length, length);
    assert.match(stdout, /# fail 0\n.*# skipped 0/s);
  }, 60_000);

  it("is as short as it claims to be", () => {
    assert.ok(readFileSync(join(EXAMPLE, "folder.mjs"), "utf8").trimEnd().split("\n").length <= 80);
  });
});
