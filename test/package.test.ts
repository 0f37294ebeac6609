import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const MAX_UNPACKED = 1600 * 1024; // every adapter, and the pages the README links to; undici alone unpacks to more
const SHIPPED = /^(dist\/.+\.(js|d\.ts)|package\.json|[A-Z]+(\.md)?|docs\/.+\.(md|svg)|examples\/04-own-adapter\/.+)$/;
const about = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
const scratch = mkdtempSync(join(tmpdir(), "mcp-discovery-package-"));
const installed = join(scratch, "node_modules", "mcp-discovery");
let packed: { filename: string; unpackedSize: number; files: { path: string }[] };

beforeAll(() => {
  run("node", [".ci/ready.mjs"], ROOT);
  packed = JSON.parse(run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", scratch], ROOT))[0];
  mkdirSync(installed, { recursive: true });
  run("tar", ["xzf", join(scratch, packed.filename), "--strip-components=1", "-C", installed], scratch);
  for (const name of [...Object.keys(about.dependencies), "is-network-error"]) {
    symlinkSync(join(ROOT, "node_modules", name), join(scratch, "node_modules", name));
  }
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe("the package", () => {
  it("holds what runs and nothing else", () => {
    const stray = packed.files
      .map(({ path }) => path)
      .filter((path) => !SHIPPED.test(path) || path.startsWith("docs/api/"));
    assert.deepEqual(stray, []);
    assert.ok(packed.unpackedSize <= MAX_UNPACKED, `${packed.unpackedSize} bytes`);
  });

  it("has a file behind every link of every page", () => {
    const pages = packed.files.map(({ path }) => path).filter((path) => path.endsWith(".md"));
    assert.ok(pages.includes("README.md") && pages.includes("docs/guide.md"));
    for (const page of pages) {
      for (const [, target = ""] of readFileSync(join(installed, page), "utf8").matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
        if (/^https?:/.test(target)) continue;
        assert.ok(existsSync(join(installed, dirname(page), target)), `${page} links to ${target}`);
      }
    }
  });

  it("has a file behind every export", () => {
    for (const target of Object.values<string | Record<string, string>>(about.exports)) {
      for (const path of typeof target === "string" ? [target] : Object.values(target))
        assert.ok(existsSync(join(installed, path)), path);
    }
  });

  it("can be imported", () => {
    const text =
      'import { createAgent, createResolver } from "mcp-discovery"; import { createRegistryServer } from "mcp-discovery/server"; import { ManualClock } from "mcp-discovery/testing"; console.log(typeof createAgent, typeof createResolver, typeof createRegistryServer, typeof ManualClock);';
    writeFileSync(join(scratch, "smoke.mjs"), text);
    assert.equal(run("node", ["smoke.mjs"], scratch).trim(), "function function function function");
  });

  it("can be required", () => {
    writeFileSync(join(scratch, "smoke.cjs"), 'console.log(typeof require("mcp-discovery").createResolver);');
    assert.equal(run("node", ["--no-warnings", "smoke.cjs"], scratch).trim(), "function");
  });

  it("has a command that helps, and refuses what it does not know", () => {
    const cli = join(installed, about.bin["mcp-discovery"]);
    assert.match(run("node", [cli, "--help"], scratch), /registry/);
    assert.equal(run("node", [cli, "--version"], scratch).trim(), about.version);
    assert.throws(
      () => run("node", [cli, "regsitry"], scratch),
      (error) => (error as { status: number }).status === 2,
    );
  });

  it("passes publint", async () => {
    const { publint } = await import("publint");
    const { messages } = await publint({ pkgDir: installed, strict: true });
    assert.deepEqual(
      messages.map(({ code }) => code),
      [],
    );
  });

  it("passes are-the-types-wrong as an ESM package", () => {
    const attw = join(ROOT, "node_modules", "@arethetypeswrong", "cli", "dist", "index.js");
    run("node", [attw, join(scratch, packed.filename), "--profile", "esm-only", "--no-color"], scratch);
  });

  it("has a changelog that speaks of its version", () => {
    assert.match(readFileSync(join(ROOT, "CHANGELOG.md"), "utf8"), /## \[Unreleased\]/);
  });
});

function run(command: string, args: readonly string[], cwd: string): string {
  return execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}
