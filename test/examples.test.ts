import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "mcp-discovery-examples-"));
const children: ChildProcess[] = [];

beforeAll(() => {
  execFileSync("node", [".ci/ready.mjs"], { cwd: ROOT });
  mkdirSync(join(scratch, "node_modules"));
  symlinkSync(ROOT, join(scratch, "node_modules", "mcp-discovery"));
});
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(scratch, { recursive: true, force: true });
});

describe("examples/01-quickstart", () => {
  it("registers a provider and calls it by name", async () => {
    const url =
      (await lineOf(run([join(ROOT, "dist/cli/main.js"), "registry", "--port", "0"]))).split(" ").at(-1) ?? "";
    const folder = onPort("01-quickstart", new URL(url).port);
    const provider = run([join(folder, "provider.mjs")]);
    assert.match(await lineOf(provider), /^registered orders@127\.0\.0\.1:\d+$/);
    const output = execFileSync("node", [join(folder, "consumer.mjs")], { encoding: "utf8", timeout: 15_000 });
    assert.equal(output.match(/^200 hello from \d+$/gm)?.length, 2);
    provider.kill("SIGTERM");
    const [code] = await once(provider, "exit");
    assert.equal(code, 0, "it ends by itself after it left");
  });
});

describe("the README", () => {
  it("shows the very provider and consumer that run here", () => {
    const readme = readFileSync(join(ROOT, "README.md"), "utf8");
    for (const file of ["provider.mjs", "consumer.mjs"]) {
      const code = readFileSync(join(ROOT, "examples/01-quickstart", file), "utf8").trim();
      assert.ok(readme.includes(code), `${file} stands in the README as it is`);
    }
  });

  it("has every command it shows", () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    for (const [, name] of readFileSync(join(ROOT, "README.md"), "utf8").matchAll(/npm run ([a-z]+)/g))
      assert.ok(scripts[name as string], name);
  });
});

function run(args: string[]): ChildProcess {
  const child = spawn("node", args, { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  return child;
}

async function lineOf(child: ChildProcess): Promise<string> {
  const [line] = await once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), "line");
  return line;
}

/** A copy of an example that talks to a registry on another port, so that tests need none in particular. */
function onPort(example: string, port: string): string {
  const folder = join(scratch, example);
  cpSync(join(ROOT, "examples", example), folder, { recursive: true });
  for (const file of ["provider.mjs", "consumer.mjs"]) {
    const text = readFileSync(join(folder, file), "utf8");
    writeFileSync(join(folder, file), text.replace("127.0.0.1:8761", `127.0.0.1:${port}`));
  }
  return folder;
}
