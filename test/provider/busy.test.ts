import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, it } from "vitest";
import { memoryRegistry } from "../../src/index.js";
import { createRegistryServer, type RegistryServer } from "../../src/server/index.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
let server: RegistryServer | undefined;
let child: ChildProcess | undefined;

beforeAll(() => {
  execFileSync("node", [".ci/ready.mjs"], { cwd: ROOT });
});
afterAll(async () => {
  child?.disconnect();
  await server?.close();
});

describe("heartbeats of a busy process", () => {
  it("hold a lease of three seconds although the event loop is free only one tenth of the time", async () => {
    const memory = memoryRegistry();
    const { renew } = memory;
    let beats = 0;
    let enough = (): void => {};
    const beaten = new Promise<void>((resolve) => {
      enough = resolve;
    });
    memory.renew = (...given) => {
      if (++beats === 6) enough();
      return renew.apply(memory, given);
    };
    server = createRegistryServer({ port: 0, registry: memory });
    const url = await server.listen();
    const events: unknown[] = [];
    child = fork(fileURLToPath(new URL("busy-process.mjs", import.meta.url)), [url], { execArgv: [] });
    child.on("message", (event) => events.push(event));
    await beaten;
    assert.ok(!events.includes("lost"), String(events));
    assert.equal(memory.size, 1);
  });
});
