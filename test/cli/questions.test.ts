import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, it } from "vitest";
import { memoryRegistry } from "../../src/registry/memory.js";
import { createRegistryServer } from "../../src/server/index.js";
import { startBackend } from "../fakes/backend.js";
import { orders } from "../fakes/scripted-registry.js";
import { command } from "./command.js";

const NOBODY = "http://127.0.0.1:9"; // the port of `discard`: nobody listens
const { signal } = new AbortController();
const { run, ended } = command();
const closing: (() => unknown)[] = [];
const memories = [memoryRegistry({ warmingMs: 0 }), memoryRegistry({ warmingMs: 0 })] as const;
let urls: readonly [string, string];

beforeAll(async () => {
  const [one, two] = orders(1, 2);
  await memories[0].register(one!, { ttlMs: 600_000, signal });
  await memories[1].register({ ...one!, weight: 2 }, { ttlMs: 600_000, signal });
  await memories[1].register(two!, { ttlMs: 600_000, signal });
  const servers = memories.map((registry) => createRegistryServer({ port: 0, registry }));
  closing.push(() => Promise.all(servers.map((server) => server.close())));
  urls = (await Promise.all(servers.map((server) => server.listen()))) as [string, string];
});
afterAll(async () => {
  for (const close of closing) await close();
});

describe("mcp-discovery compare", () => {
  it("ends with 0 for the same, with 1 for a difference, which it tells as text and as JSON", async () => {
    assert.deepEqual(await ended("compare", urls[0], urls[0]), {
      code: 0,
      out: "1 services compared, no difference\n",
      err: "",
    });
    const { code, out } = await ended("compare", ...urls);
    assert.equal(code, 1);
    assert.match(out, /~ orders@10\.0\.0\.1:1 {3}weight: 1 → 2\n|\+ orders@10\.0\.0\.1:2 {3}only in registry/);
    const json = JSON.parse((await ended("compare", ...urls, "--json")).out);
    assert.deepEqual([json.equal, json.services[0].onlySecond], [false, ["orders@10.0.0.1:2"]]);
  });

  it("ends with 2 for wrong use and 4 for a registry that is away", async () => {
    assert.equal((await ended("compare", urls[0])).code, 2);
    assert.equal((await ended("compare", urls[0], "nonsense")).code, 2);
    const { code, out, err } = await ended("compare", urls[0], NOBODY);
    assert.deepEqual([code, out], [4, ""]);
    assert.match(err, /UNAVAILABLE/);
  });
});

describe("mcp-discovery list", () => {
  it("says which word is missing, or is one too many, and how it is used", async () => {
    const usage = "Usage: mcp-discovery list URL [options] (INVALID_OPTION)\n";
    assert.equal((await ended("list")).err, `mcp-discovery list: URL is missing. ${usage}`);
    const { code, err } = await ended("list", urls[0], "orders");
    assert.deepEqual([code, err], [2, `mcp-discovery list: "orders" is one word too many. ${usage}`]);
    assert.match((await ended("list", "127.0.0.1:8761")).err, /did you mean "http:\/\/127\.0\.0\.1:8761"\?/);
  });

  it("tells the names of services", async () => {
    assert.equal((await ended("list", urls[0])).out, "orders\n");
    assert.deepEqual(JSON.parse((await ended("list", urls[0], "--json")).out), ["orders"]);
  });
});

describe("mcp-discovery resolve", () => {
  it("tells the instances of a service", async () => {
    const { code, out } = await ended("resolve", urls[0], "orders");
    assert.deepEqual([code, out], [0, "healthy   http://10.0.0.1:1 weight 1 orders@10.0.0.1:1\n"]);
    const lines = (await ended("resolve", urls[1], "orders", "--json")).out.trim().split("\n");
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).port),
      [1, 2],
    );
  });

  it("ends with 3 where there is none", async () => {
    const { code, out, err } = await ended("resolve", urls[0], "carts");
    assert.deepEqual([code, out, /does not know carts\n/.test(err)], [3, "", true]);
    assert.match((await ended("resolve", urls[0], "ordrs")).err, /does not know ordrs, did you mean orders\?\n/);
  });

  it("prints no control characters, whatever a registry says", async () => {
    const id = "\u202eevil";
    const instance = { id, service_name: "orders", host: "10.0.0.1", port: 1 };
    const backend = await startBackend((_, response) => {
      response.end(JSON.stringify({ service_name: "orders", epoch: "e", revision: 1, instances: [instance] }));
    });
    closing.push(() => backend.close());
    const { out } = await ended("resolve", `http://127.0.0.1:${backend.port}`, "orders");
    assert.match(out, /\ufffdevil\n$/);
  });
});

describe("mcp-discovery watch", () => {
  it("tells the instances and every change until it is interrupted", async () => {
    const child = run("watch", urls[0], "orders", "--json");
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const next = async (): Promise<unknown> => {
      const [line] = await once(lines, "line");
      const { event, instance } = JSON.parse(String(line));
      return [event, instance.port];
    };
    assert.deepEqual(await next(), ["added", 1]);
    const lease = await memories[0].register(orders(3)[0]!, { ttlMs: 600_000, signal });
    assert.deepEqual(await next(), ["added", 3]);
    await memories[0].deregister(lease);
    assert.deepEqual(await next(), ["removed", 3]);
    child.kill("SIGINT");
    assert.deepEqual(await once(child, "exit"), [130, null]);
  });
});
