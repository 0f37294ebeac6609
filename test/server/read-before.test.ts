import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";
import { describe, it } from "vitest";
import { createRegistryServer } from "../../src/server/index.js";
import { startBackend } from "../fakes/backend.js";
import { keep } from "../opened.js";

type Middleware = (...given: [...Parameters<RequestListener>, next: () => void]) => void;

const express = createRequire(import.meta.url)("express"); // it has no types of its own
const INSTANCE = { service_name: "orders", host: "10.0.0.1", port: 1 };

describe("a registry mounted behind what has read the body", () => {
  it("takes what express.json() has made of it", async () => {
    const { server, post } = await start(express.json());
    assert.equal((await post("/v1/register", JSON.stringify(INSTANCE))).status, 201);
    assert.equal((await post("/v1/register", '{"__proto__":{"a":1}}')).status, 400);
    const update = await server.registry.list("orders");
    assert.ok(update.type === "reset" && update.instances.length === 1);
  });

  it("takes it as text and as bytes", async () => {
    for (const parse of [express.text({ type: "*/*" }), express.raw({ type: "*/*" })]) {
      const { post } = await start(parse);
      assert.equal((await post("/v1/register", JSON.stringify(INSTANCE))).status, 201);
      assert.equal((await post("/v1/register", "{")).status, 400);
    }
  });

  it("says so where nothing of it is left", async () => {
    const { post } = await start((request, _, next) => void text(request).then(() => next()));
    const answer = await post("/v1/register", JSON.stringify(INSTANCE));
    assert.equal(answer.status, 500);
    assert.match(((await answer.json()) as { detail: string }).detail, /read before .* mount the registry in front of/);
  });
});

async function start(before: Middleware) {
  const server = keep(createRegistryServer({ port: 0, warmingMs: 0 }));
  const app = express();
  app.use(before);
  app.use(((request, response) => server.handle(request, response)) satisfies RequestListener);
  const { port } = keep(await startBackend((request, response) => app(request, response)));
  const headers = { "content-type": "application/json" };
  const post = (path: string, body: string) =>
    fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", headers, body, signal: AbortSignal.timeout(5_000) });
  return { server, post };
}
