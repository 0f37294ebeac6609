import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, it } from "vitest";
import { nacosVersions } from "../registries/nacos.js";
import { startRegistry, whyMissing } from "../registries/start.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "mcp-discovery-docs-"));

beforeAll(() => {
  execFileSync("node", [".ci/ready.mjs"], { cwd: ROOT });
  mkdirSync(join(scratch, "node_modules"));
  symlinkSync(ROOT, join(scratch, "node_modules", "mcp-discovery"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Each page with a registry: where it says that one listens, and how that is started. */
const PAGES = [
  ["consul", "127.0.0.1:8500", () => startRegistry("consul.sh")],
  ["eureka", "127.0.0.1:8761", () => startRegistry("eureka.sh")],
  ["nacos", "127.0.0.1:8848", nacosVersions()[0]!.start],
] as const;

for (const [name, address, start] of PAGES) {
  const missing = await whyMissing(`${name}.sh`);
  describe.skipIf(missing)(`docs/registries/${name}.md`, () => {
    it("shows code that runs, and what it prints", async () => {
      const server = await start();
      try {
        const page = readFileSync(join(ROOT, `docs/registries/${name}.md`), "utf8");
        const [, code = ""] = /```js\n(.*?)```/s.exec(page) ?? [];
        const adapter = pathToFileURL(join(ROOT, `dist/adapters/${name}.js`)).href;
        const file = join(scratch, `${name}.mjs`);
        const there = code.replaceAll(address, new URL(server.url).host);
        writeFileSync(file, there.replace(`mcp-discovery/${name}`, adapter));
        const [, printed = ""] = /console\.log.*\/\/ (.*)/.exec(code) ?? [];
        assert.equal(execFileSync("node", [file], { encoding: "utf8", timeout: 30_000 }).trim(), printed);
      } finally {
        await server.stop();
      }
    });
  });
}
