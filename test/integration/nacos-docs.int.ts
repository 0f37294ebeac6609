import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, it } from "vitest";
import { nacosVersions } from "../registries/nacos.js";
import { whyMissing } from "../registries/start.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const missing = await whyMissing("nacos.sh");
const scratch = mkdtempSync(join(tmpdir(), "mcp-discovery-docs-"));

beforeAll(() => {
  execFileSync("node", [".ci/ready.mjs"], { cwd: ROOT });
  mkdirSync(join(scratch, "node_modules"));
  symlinkSync(ROOT, join(scratch, "node_modules", "mcp-discovery"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe.skipIf(missing)("docs/registries/nacos.md", () => {
  it("shows code that runs, and what it prints", async () => {
    const server = await nacosVersions()[0]?.start();
    assert.ok(server);
    try {
      const page = readFileSync(join(ROOT, "docs/registries/nacos.md"), "utf8");
      const [, code = ""] = /```js\n(.*?)```/s.exec(page) ?? [];
      const adapter = pathToFileURL(join(ROOT, "dist/adapters/nacos.js")).href;
      const file = join(scratch, "nacos.mjs");
      const here = code.replaceAll("127.0.0.1:8848", new URL(server.url).host);
      writeFileSync(file, here.replace("mcp-discovery/nacos", adapter));
      const [, printed = ""] = /console\.log.*\/\/ (.*)/.exec(code) ?? [];
      assert.equal(execFileSync("node", [file], { encoding: "utf8", timeout: 30_000 }).trim(), printed);
    } finally {
      await server.stop();
    }
  });
});
