import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterEach, beforeAll, describe, it } from "vitest";
import { createRegistryServer, type RegistryServer } from "../src/server/index.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const INDEX = pathToFileURL(`${ROOT}/dist/index.js`).href;
const opened: RegistryServer[] = [];

beforeAll(() => {
  execFileSync("node", [".ci/ready.mjs"], { cwd: ROOT });
});
afterEach(async () => {
  for (const server of opened.splice(0)) await server.close();
});

describe("the life of a process", () => {
  it("is not prolonged by an open watch, a heartbeat or a stale list", async () => {
    const url = await registry();
    const { code, output } = await script(`
      const agent = createAgent({ registry: "${url}", service: "orders", port: 1, host: "10.0.0.1" });
      await agent.start();
      const orders = createResolver({ registry: "${url}" }).service("orders");
      console.log((await orders.ready()).instances.length);
    `);
    assert.deepEqual([code, output], [0, "1\n"]);
  });

  it("lasts as long as somebody awaits the first registration or the first list", async () => {
    const { code, output } = await script(`
      const away = createResolver({ registry: "http://127.0.0.1:1", waitMs: 300 }).service("orders");
      await away.fetch("/").catch((error) => console.log(error.code));
      const halt = new AbortController();
      setTimeout(() => halt.abort(new Error("mine")), 700).unref();
      await createAgent({ registry: "http://127.0.0.1:1", service: "orders", port: 1 })
        .start({ signal: halt.signal })
        .catch((error) => console.log(error.message));
    `);
    assert.deepEqual([code, output], [0, "UNAVAILABLE\nmine\n"]);
  });

  it("ends by itself after everything was closed, with nothing left open", async () => {
    const url = await registry();
    const { code, output } = await script(`
      const agent = createAgent({ registry: "${url}", service: "orders", port: 1, host: "10.0.0.1" });
      await agent.start();
      const resolver = createResolver({ registry: "${url}" });
      await resolver.service("orders").ready();
      await Promise.all([resolver.close(), agent.stop()]);
      await new Promise((resolve) => setImmediate(resolve));
      console.log(process.getActiveResourcesInfo().filter((each) => /Timeout|TCP/.test(each)).length);
    `);
    assert.deepEqual([code, output], [0, "0\n"]);
  });
});

async function registry(): Promise<string> {
  const server = createRegistryServer({ port: 0 });
  opened.push(server);
  return server.listen();
}

async function script(body: string): Promise<{ code: number; output: string }> {
  const text = `import { createAgent, createResolver } from ${JSON.stringify(INDEX)};\n${body}`;
  const child = spawn("node", ["--input-type=module", "-e", text], {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 10_000,
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    output += chunk;
  });
  const [code] = await once(child, "close");
  return { code, output };
}
