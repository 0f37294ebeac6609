import assert from "node:assert/strict";
import { afterEach, describe, it } from "vitest";
import { modelContext } from "../../src/adapters/model-context.js";
import { DiscoveryError } from "../../src/model/errors.js";
import { isRegistrar, type Registry } from "../../src/registry/registry.js";
import { startBackend } from "../fakes/backend.js";

const WEATHER = "io.github.user/weather";
const { signal } = new AbortController();
const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

describe("modelContext", () => {
  it("lists the remotes of a server's newest version, never its packages", async () => {
    const { registry, asked } = await start();
    const update = await registry.list("weather", { signal });
    assert.deepEqual(asked, ["/v0.1/servers/io.github.user%2Fweather/versions/latest"]);
    const [eu, local] = update.type === "reset" ? update.instances : [];
    assert.deepEqual(
      [eu?.id, eu?.protocol, eu?.host, eu?.port, eu?.version, { ...eu?.metadata }],
      [
        "io.github.user/weather@1.0.2#0",
        "https",
        "eu.example.com",
        443,
        "1.0.2",
        {
          path: "/mcp",
          transport: "streamable-http",
          status: "active",
          title: "Weather",
          "required-headers": "Authorization",
        },
      ],
    );
    assert.deepEqual([local?.host, local?.port], ["::1", 8080]);
    const { position: since } = update as { position?: string };
    assert.equal((await registry.list("weather", { since, signal })).type, "current");
  });

  it("fills in the variables that were given, and counts a remote that lacks one", async () => {
    const { registry } = await start({ variables: { tenant: "us" } });
    const update = await registry.list("weather", { signal });
    assert.equal(update.type === "reset" && update.instances[0]?.host, "us.example.com");
    assert.equal(update.type === "reset" && update.invalid, 1);
  });

  it("knows the names it was told, and tells a server that is gone from one that never was", async () => {
    const { registry, answer } = await start();
    assert.deepEqual(await registry.services?.({ signal }), ["gone", "weather"]);
    assert.deepEqual(await registry.list("orders", { signal }), { type: "absent" });
    assert.deepEqual(await registry.list("gone", { signal }), { type: "absent" });
    answer._meta["io.modelcontextprotocol.registry/official"].status = "deleted";
    const update = await registry.list("weather", { signal });
    assert.deepEqual(update.type === "reset" && update.instances, []);
  });

  it("takes an answer about another server, or from another kind of server, for an error", async () => {
    const { registry, answer } = await start();
    answer.server.name = "io.github.user/other";
    await assert.rejects(registry.list("weather", { signal }), (error) => DiscoveryError.is(error, "PROTOCOL"));
  });

  it("lets nobody register, and refuses to be asked more than once a minute", async () => {
    const { registry } = await start();
    assert.equal(isRegistrar(registry as Registry), false);
    assert.equal(registry.capabilities.watch, "poll");
    const options = { url: "http://127.0.0.1:1", servers: {} };
    assert.throws(() => modelContext({ ...options, intervalMs: 1_000 }), /modelContext\.intervalMs/);
    assert.throws(
      () => modelContext({ ...options, servers: { weather: "weather" } }),
      /modelContext\.servers\.weather/,
    );
  });
});

/** A catalogue that answers as the published API says. */
async function start(options: { readonly variables?: Readonly<Record<string, string>> } = {}) {
  const asked: (string | undefined)[] = [];
  const answer = {
    server: {
      $schema: "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
      name: WEATHER,
      title: "Weather",
      description: "Weather of everywhere",
      version: "1.0.2",
      remotes: [
        {
          type: "streamable-http",
          url: "https://{tenant}.example.com/mcp",
          headers: [{ name: "Authorization", isSecret: true, isRequired: true, value: "Bearer {token}" }],
          variables: { tenant: { description: "where", default: "eu", choices: ["eu", "us"] } },
        },
        { type: "sse", url: "http://[::1]:8080/sse" },
        { type: "sse", url: "https://{unknown}.example.com/sse" },
      ],
      packages: [{ registryType: "npm", identifier: "@x/weather", version: "1.0.2", transport: { type: "stdio" } }],
    },
    _meta: { "io.modelcontextprotocol.registry/official": { status: "active", isLatest: true } },
  };
  const backend = await startBackend((request, response) => {
    asked.push(request.url);
    const isKnown = request.url === `/v0.1/servers/${encodeURIComponent(WEATHER)}/versions/latest`;
    response.writeHead(isKnown ? 200 : 404, {
      "content-type": isKnown ? "application/json" : "application/problem+json",
    });
    response.end(JSON.stringify(isKnown ? answer : { title: "Not Found", status: 404, detail: "Server not found" }));
  });
  const servers = { Weather: WEATHER, gone: "io.github.user/gone" };
  const registry = modelContext({ url: `http://127.0.0.1:${backend.port}`, servers, ...options });
  opened.push(backend, registry);
  return { registry, asked, answer };
}
