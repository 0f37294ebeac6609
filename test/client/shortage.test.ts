import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeAll, describe, it } from "vitest";
import { type Backend, startBackend } from "../fakes/backend.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SCRIPT = fileURLToPath(new URL("shortage-process.mjs", import.meta.url));
/** File handles of the consumer, as its shell allows them: a process that has started needs about 25. */
const HANDLES = 96;

const backends: Backend[] = [];
beforeAll(() => {
  execFileSync("node", [".ci/ready.mjs"], { cwd: ROOT });
});
afterEach(async () => {
  for (const backend of backends.splice(0)) await backend.close();
});

describe("a call while this process has no file handle left", () => {
  it("waits for one and then goes out, once, and nobody is ejected", async () => {
    const told = await consumer(300);
    assert.deepEqual(told, { ejected: 0, short: "EMFILE", status: 200, usable: 2 });
    assert.deepEqual(
      backends.flatMap(({ requests }) => requests),
      ["POST /"],
    );
  });

  it("fails within seconds if none comes free, and says that no instance is to blame", async () => {
    const told = await consumer(60_000);
    const failed = ["UNAVAILABLE", "EMFILE", "It is this process that ran short, no instance"];
    assert.deepEqual(told, { ejected: 0, short: "EMFILE", failed, usable: 2 });
  });
});

async function consumer(shortMs: number): Promise<unknown> {
  backends.push(await startBackend(), await startBackend());
  const ports = backends.map(({ port }) => port);
  const command = `ulimit -n ${HANDLES} && exec node "${SCRIPT}" ${shortMs} ${ports.join(" ")}`;
  const { stdout } = await promisify(execFile)("sh", ["-c", command], { timeout: 20_000 });
  return JSON.parse(stdout);
}
