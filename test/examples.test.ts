import assert from "node:assert/strict";
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pass } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, it } from "vitest";
import { createResolver } from "../src/index.js";
import { createRegistryServer } from "../src/server/index.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "mcp-discovery-examples-"));
const children: ChildProcess[] = [];
const IMPORT = /^import .*\n/gm;

beforeAll(() => {
  execFileSync("node", [".ci/ready.mjs"], { cwd: ROOT });
  mkdirSync(join(scratch, "node_modules"));
  symlinkSync(ROOT, join(scratch, "node_modules", "mcp-discovery"));
  for (const name of ["express", "fastify", "hono", "@hono", "undici"])
    symlinkSync(join(ROOT, "node_modules", name), join(scratch, "node_modules", name));
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

describe("examples/02-graceful-shutdown", () => {
  for (const name of ["plain", "express", "fastify", "hono"]) {
    it(`${name}: registers, serves, and after SIGTERM ends by itself without losing a call`, async () => {
      const registry = createRegistryServer({ port: 0 });
      const url = await registry.listen();
      const folder = onPort("02-graceful-shutdown", new URL(url).port);
      const [leaving, staying] = [run([join(folder, `${name}.mjs`)]), run([join(folder, `${name}.mjs`)])];
      const said = linesOf(leaving);
      await Promise.all([said.next(), lineOf(staying)]);
      const resolver = createResolver({ registry: url, tries: 1 });
      const orders = resolver.service("orders");
      await orders.ready();
      while (orders.instances().length < 2) await pass(10);
      await healthIs200(said.all[0] ?? "");

      const calls = load(async () => {
        const { statusCode, body } = await orders.request("/");
        return statusCode === 200 && /^hello from \d+$/m.test(await body.text());
      });
      await calls.more(40);
      leaving.kill("SIGTERM");
      const [code, signal] = await once(leaving, "exit");
      assert.deepEqual([code, signal], [0, null]);
      assert.match(said.all.at(-1) ?? "", /^left within \d+ ms$/);
      if (name === "fastify") assert.ok(said.all.includes("hooks ran"));
      await calls.more(40);
      assert.deepEqual(await calls.end(), []);
      staying.kill("SIGKILL");
      await resolver.close();
      await registry.close();
    }, 30_000);
  }
});

describe("examples/03-custom-balancer", () => {
  it("sends calls where a balancer of 20 lines sends them", () => {
    const folder = join(scratch, "03-custom-balancer");
    cpSync(join(ROOT, "examples/03-custom-balancer"), folder, { recursive: true });
    assert.ok(readFileSync(join(folder, "quickest.mjs"), "utf8").trimEnd().split("\n").length <= 20);
    const output = execFileSync("node", [join(folder, "main.mjs")], { encoding: "utf8", timeout: 15_000 });
    const [, quick, slow] = /^quick: (\d+), slow: (\d+)\n$/.exec(output) ?? [];
    assert.equal(Number(quick) + Number(slow), 20, output); // who gets how many, a busy machine may change
  });

  it("asks the unmeasured first, then the quickest, and goes on elsewhere", async () => {
    const { quickest } = await import(pathToFileURL(join(ROOT, "examples/03-custom-balancer/quickest.mjs")).href);
    const [quick, slow, fresh] = [1, 40, -1].map((latencyMs) => ({ load: { latencyMs } }));
    const picker = quickest.create();
    picker.update([], [slow, quick]);
    assert.equal(picker.pick(), quick);
    assert.equal(picker.pick({ tried: [quick] }), slow);
    picker.update([], [slow, quick, fresh]);
    assert.equal(picker.pick(), fresh);
  });
});

describe("the guide", () => {
  it("shows only code that runs", async () => {
    const registry = createRegistryServer({ port: 0 });
    const url = await registry.listen();
    const blocks = readFileSync(join(ROOT, "docs/guide.md"), "utf8").matchAll(/```js\n(.*?)```/gs);
    const codes = [...blocks].map(([, code = ""]) => code.replace("8761", "0"));
    const imports = codes.flatMap((code) => code.match(IMPORT) ?? []); // they cannot stand in a function
    const bodies = codes.map((code) => `await (async () => {\n${code.replace(IMPORT, "")}})();`);
    assert.ok(bodies.length >= 3);
    const file = join(scratch, "guide.mjs");
    writeFileSync(
      file,
      `${imports.join("")}${guideStage(url)}\n${bodies.join("\n")}\nconsole.log("all of it ran");\nprocess.exit(0);\n`,
    );
    const { stdout } = await promisify(execFile)("node", [file], { encoding: "utf8", timeout: 15_000 });
    assert.equal(stdout, "all of it ran\n");
    await registry.close();
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

/** What stands before each piece of code in the guide: a provider, a consumer, and the names it takes for granted. */
function guideStage(url: string): string {
  return `
    import { once } from "node:events";
    import { createServer } from "node:http";
    import { createAgent, createResolver } from "mcp-discovery";
    const backend = createServer((_request, response) => response.end()).listen(0, "127.0.0.1");
    await once(backend, "listening");
    await createAgent({ registry: "${url}", service: "orders", port: backend.address().port }).start();
    const resolver = createResolver({ registry: "${url}" });
    const orders = resolver.service("orders");
    await orders.ready({ instances: 1 });
    const talkTo = async (host, port) => fetch("http://" + host + ":" + port);
    const page = () => {};`;
}

function run(args: string[]): ChildProcess {
  const child = spawn("node", args, { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  return child;
}

/** What a process says, line by line. */
function linesOf(child: ChildProcess) {
  const all: string[] = [];
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  lines.on("line", (line) => all.push(line));
  return { all, next: (): Promise<unknown> => once(lines, "line") };
}

async function healthIs200(registered: string): Promise<void> {
  const address = registered.split("@").at(-1);
  const response = await fetch(`http://${address}/health`);
  assert.equal(((await response.json()) as { status: string }).status, "ok");
  assert.equal(response.status, 200);
}

/** Calls at a constant pace, whatever comes of them, until it is ended. */
function load(call: () => Promise<boolean>) {
  const failures: string[] = [];
  const sent: Promise<unknown>[] = [];
  const one = async (): Promise<unknown> => (await call()) || failures.push("a wrong answer");
  const timer = setInterval(() => sent.push(one().catch((error: unknown) => failures.push(String(error)))), 5);
  /** Resolves when so many more were sent, however long that takes here. */
  const more = async (count: number): Promise<void> => {
    const until = sent.length + count;
    while (sent.length < until) await pass(10);
  };
  /** What failed of all that were sent. */
  const end = async (): Promise<readonly string[]> => {
    clearInterval(timer);
    await Promise.all(sent);
    return failures;
  };
  return { more, end };
}

async function lineOf(child: ChildProcess): Promise<string> {
  const [line] = await once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), "line");
  return line;
}

/** A copy of an example that talks to a registry on another port, so that tests need none in particular. */
function onPort(example: string, port: string): string {
  const folder = join(scratch, example);
  cpSync(join(ROOT, "examples", example), folder, { recursive: true });
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".mjs"))) {
    const text = readFileSync(join(folder, file), "utf8");
    writeFileSync(join(folder, file), text.replace("127.0.0.1:8761", `127.0.0.1:${port}`));
  }
  return folder;
}
