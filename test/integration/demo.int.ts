import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, it } from "vitest";
import { connect } from "../../src/connect.js";
import type { Discovery } from "../../src/registry/registry.js";
import { nacosVersions } from "../registries/nacos.js";
import { type RunningRegistry, startRegistry, whyMissing } from "../registries/start.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const ACTS = ["registry", "providers", "killed", "started", "restarted", "registryBack", "removed", "summary"];
const [nacos] = nacosVersions();
const REGISTRIES = [
  { name: "consul", start: (port = 0) => startRegistry("consul.sh", ["--port", String(port)]) },
  { name: "etcd", start: (port = 0) => startRegistry("etcd.sh", ["--port", String(port)]) },
  { name: "eureka", start: (port = 0) => startRegistry("eureka.sh", ["--port", String(port)]) },
  { name: "nacos", start: (port = 0) => (nacos as NonNullable<typeof nacos>).start(port) },
];
const { signal } = new AbortController();
const children: ChildProcess[] = [];

beforeAll(() => void execFileSync("node", [".ci/ready.mjs"], { cwd: ROOT }));
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

for (const { name, start } of REGISTRIES) {
  const missing = await whyMissing(`${name}.sh`);
  describe.skipIf(missing)(`the demo with a real ${name}`, () => {
    let server: RunningRegistry;
    beforeAll(async () => {
      server = await start();
    });
    afterAll(() => server?.stop());
    const url = (): string => `${name}://127.0.0.1:${server.port}`;

    it("plays every act without a failed call, though the server is killed and comes back empty", async () => {
      const restarting = createServer(async (_request, response) => {
        for (const pid of pidsOf(server)) process.kill(pid, "SIGKILL");
        await server.stop();
        server = await start(server.port);
        response.end("ok");
      });
      await once(restarting.listen(0, "127.0.0.1"), "listening");
      const { port } = restarting.address() as AddressInfo;
      const command = `"${process.execPath}" -e "fetch('http://127.0.0.1:${port}').then((r) => r.text())"`;
      try {
        const { code, events, err } = await played("--registry", url(), "--restart-registry", command);
        assert.deepEqual([code, summaryOf(events)["failures"]], [0, 0], err);
        assert.deepEqual(missingIn(events), []);
        assert.match(String(summaryOf(events)["registryAct"]), /restarted by your command; its first list had \d of 3/);
        assert.ok(Number(summaryOf(events)["visibleAgainMs"]) >= 0);
        assert.deepEqual(await left(url(), events), []);
      } finally {
        restarting.close();
      }
    });

    if (name === "consul" || name === "nacos") {
      it("cuts a server off that it may not restart, deletes its own records alone, and says so", async () => {
        const { code, events, err } = await played("--registry", url());
        assert.deepEqual([code, summaryOf(events)["failures"]], [0, 0], err);
        assert.deepEqual(missingIn(events), []);
        assert.match(String(summaryOf(events)["registryAct"]), /cut off for 5 s, and 3 of our 3 records were deleted/);
        assert.deepEqual(await left(url(), events), []);
      });
    }

    if (name === "consul") {
      it("leaves nothing behind when it is interrupted", async () => {
        const { events } = await played("--registry", url(), (child, event) => {
          if (event["event"] === "killed") child.kill("SIGINT");
        });
        assert.ok(events.some(({ event }) => event === "killed"));
        assert.deepEqual(await left(url(), events), []);
      });
    }
  });
}

type Told = Readonly<Record<string, unknown>>;
type OnEvent = (child: ChildProcess, event: Told) => void;

async function played(...given: readonly (string | OnEvent)[]) {
  const args = given.filter((each) => typeof each === "string");
  const onEvent = given.find((each) => typeof each === "function");
  const child = spawn(process.execPath, ["dist/cli/main.js", "demo", "--json", ...args], { cwd: ROOT });
  children.push(child);
  const events: Told[] = [];
  let [rest, err] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => {
    const lines = (rest + String(chunk)).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const event = JSON.parse(line) as Told;
      events.push(event);
      onEvent?.(child, event);
    }
  });
  child.stderr.on("data", (chunk: Buffer) => {
    err += String(chunk);
  });
  const [code] = await once(child, "close");
  return { code: code as number | null, events, err };
}

function pidsOf({ info }: RunningRegistry): readonly number[] {
  const nodes = (info["node"] ?? []).map((line) => line.split(" ").at(-1));
  return [...(info["pid"] ?? []), ...nodes].map(Number);
}

function summaryOf(events: readonly Told[]): Told {
  return events.find(({ event }) => event === "summary") ?? {};
}

function missingIn(events: readonly Told[]): readonly string[] {
  const told = new Set(events.map(({ event }) => event));
  return ACTS.filter((act) => !told.has(act));
}

/** What the registry still lists of the demo. */
async function left(url: string, events: readonly Told[]): Promise<readonly string[]> {
  const service = String(events.find(({ event }) => event === "registry")?.["service"]);
  assert.match(service, /^mcp-demo-[0-9a-f]{8}$/);
  const { registry, release } = connect<Discovery>("registry", url);
  try {
    for (let tries = 0; ; tries++) {
      const update = await (registry as Discovery).list(service, { signal });
      const ids = update.type === "reset" ? update.instances.map(({ id }) => id) : [];
      if (ids.length === 0 || tries === 30) return ids; // lists may be cached for a second
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  } finally {
    await release();
  }
}
