import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterEach, beforeAll, describe, it } from "vitest";
import { createRegistryServer } from "../src/server/index.js";
import { startBackend } from "./fakes/backend.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const INDEX = pathToFileURL(`${ROOT}/dist/index.js`).href;
const opened: { close(): Promise<unknown> }[] = [];

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

  it("lasts through the pause between two tries of a call", async () => {
    const [busy, free] = [await startBackend((_, response) => response.writeHead(503).end()), await startBackend()];
    opened.push(busy, free);
    const { code, output } = await script(`
      const registry = staticRegistry([${busy.port}, ${free.port}].map((port) => ({ service: "orders", host: "127.0.0.1", port })));
      const orders = createResolver({ registry, random: () => 0.99 }).service("orders");
      for (let call = 0; call < 2; call++) console.log((await orders.request("/")).statusCode);
    `);
    assert.ok(busy.requests.length > 0, "one of the calls had to pause");
    assert.deepEqual([code, output], [0, "200\n200\n"]);
  });

  it("ends by itself after everything was closed, with nothing left open", async () => {
    const url = await registry();
    const { code, output } = await script(`
      const agent = createAgent({ registry: "${url}", service: "orders", port: 1, host: "10.0.0.1", drainMs: 0 });
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

describe("a process with an attached server", () => {
  it("ends at once at a second signal, whatever is still in flight", async () => {
    const url = await registry();
    const { child, line } = spawned(`
      const agent = createAgent({ registry: "${url}", service: "orders", drainMs: 0 });
      const server = createServer(() => console.log("held")); // and never answered
      agent.attach(server, { graceMs: 60_000 });
      agent.on("registered", ({ lease }) => console.log(lease.instance.port));
      agent.on("draining", () => console.log("leaving"));
      server.listen(0, "127.0.0.1");
    `);
    const held = fetch(`http://127.0.0.1:${await line()}`).catch(() => "cut");
    assert.equal(await line(), "held");
    child.kill("SIGTERM");
    assert.equal(await line(), "leaving");
    child.kill("SIGTERM");
    const [code, signal] = await once(child, "close");
    assert.deepEqual([code, signal], [null, "SIGTERM"]);
    assert.equal(await held, "cut");
  });

  it("ends by itself although the registry has died", async () => {
    const url = await registry();
    const { child, line } = spawned(`
      const agent = createAgent({ registry: "${url}", service: "orders" });
      const server = createServer((_, response) => response.end());
      agent.attach(server);
      agent.on("registered", () => console.log("registered"));
      server.listen(0, "127.0.0.1");
    `);
    await line();
    await opened.pop()?.close();
    child.kill("SIGINT");
    assert.deepEqual(await once(child, "close"), [0, null]);
  });

  it("is not kept alive by an agent whose server never listens", async () => {
    const { code } = await script(`
      createAgent({ registry: "http://127.0.0.1:1", service: "orders" }).attach(createServer());
    `);
    assert.equal(code, 0);
  });

  it("is warned once when no registry answers and nobody listens", async () => {
    const { code, output } = await script(`
      process.on("warning", ({ code, message }) => console.log(code, /127.0.0.1:1.*is it running/.test(message)));
      const ending = new AbortController();
      const agent = createAgent({ registry: "http://127.0.0.1:1", service: "orders", host: "10.0.0.1", port: 3000 });
      setTimeout(() => ending.abort(), 1_000); // time for several tries
      await agent.start({ signal: ending.signal }).catch(() => {});
      await agent.stop();
    `);
    assert.deepEqual([code, output], [0, "DISCOVERY_NOT_REGISTERED true\n"]);
  });

  it("is warned when it is refused and nobody listens", async () => {
    const { code, output } = await script(`
      process.on("warning", ({ code, message }) => console.log(code, /agent.port is missing/.test(message)));
      const server = createServer();
      createAgent({ registry: "http://127.0.0.1:1", service: "orders", host: "10.0.0.1" }).attach(server);
      server.listen("\\0mcp-discovery-" + process.pid); // a socket has no port
      setTimeout(() => server.close(), 300);
    `);
    assert.deepEqual([code, output], [0, "DISCOVERY_NOT_REGISTERED true\n"]);
  });
});

async function registry(): Promise<string> {
  const server = createRegistryServer({ port: 0 });
  opened.push(server);
  return server.listen();
}

async function script(body: string): Promise<{ code: number; output: string }> {
  const { child, all } = spawned(body, 10_000);
  const [code] = await once(child, "close");
  return { code, output: all() };
}

function spawned(body: string, timeout = 20_000) {
  const text = `
    import { createServer } from "node:http";
    import { createAgent, createResolver, staticRegistry } from ${JSON.stringify(INDEX)};
    ${body}`;
  const child = spawn("node", ["--input-type=module", "-e", text], { stdio: ["ignore", "pipe", "inherit"], timeout });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    output += chunk;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<string> => (await lines.next()).value;
  return { child, line, all: () => output };
}
