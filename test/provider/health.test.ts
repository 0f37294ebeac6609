import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import Fastify from "fastify";
import { afterEach, describe, it } from "vitest";
import {
  type Agent,
  type AttachOptions,
  type CreateAgentOptions,
  createAgent,
  type HealthCheck,
} from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { faultyRegistry } from "../fakes/registrar.js";

const express = createRequire(import.meta.url)("express"); // it has no types of its own
const opened: Server[] = [];

afterEach(() => {
  for (const server of opened.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

describe("/health", () => {
  it("is 503 while starting, 200 while ready, 503 again while draining; /health/live is 200 throughout", async () => {
    let isReady = false;
    const { agent, clock, look } = await stage({ readyWhen: () => isReady });
    await clock.advance(100);
    assert.deepEqual(await look("/health"), [503, "starting", "registering"]);
    isReady = true;
    await clock.advance(5_000);
    assert.deepEqual(await look("/health"), [200, "ok", "registered"]);
    await agent.update({ status: "starting" });
    assert.deepEqual(await look("/health"), [503, "starting", "registered"]);
    await agent.drain();
    assert.deepEqual(await look("/health"), [503, "draining", "draining"]);
    assert.deepEqual(await look("/health/live"), [200, "draining", "draining"]);
  });

  it("is 503 as soon as stop() begins", async () => {
    const { agent, clock, look } = await stage({}, { quietMs: 1_000 });
    await clock.advance(100);
    const stopped = agent.stop();
    assert.deepEqual(await look("/health"), [503, "draining", "draining"]);
    await clock.advance(20_000);
    await stopped;
  });

  it("stays 200 when the registry is away: whoever knows us may go on calling", async () => {
    const { clock, faulty, look } = await stage();
    await clock.advance(100);
    faulty.mode = "down";
    await clock.advance(60_000);
    assert.deepEqual(await look("/health"), [200, "degraded", "lost"]);
  });

  it("is what the registry is asked to probe, by whether we live", async () => {
    const { checks, clock } = await stage({}, { health: { path: "/up", intervalMs: 5_000, failures: 2 } });
    await clock.advance(100);
    assert.deepEqual(checks, [{ path: "/up/live", intervalMs: 5_000, timeoutMs: 2_000, failures: 2 }]);
  });

  it("is left to the app, and nobody is asked to probe it, with health: false", async () => {
    const { checks, clock, url } = await stage({}, { health: false });
    await clock.advance(100);
    assert.deepEqual(checks, [undefined]);
    assert.equal(await (await fetch(`${url}/health`)).text(), "app GET /health");
  });

  it("may be the app's own, and probed", async () => {
    const { checks, clock } = await stage({ health: { path: "/status" } }, { health: false });
    await clock.advance(100);
    assert.deepEqual(checks, [{ path: "/status", intervalMs: 10_000, timeoutMs: 2_000, failures: 3 }]);
  });

  it("is answered in the app's place: only GET and HEAD, only its own paths, whenever the app began to listen", async () => {
    const { url, server } = await stage({ readyWhen: () => false });
    const heard: string[] = [];
    server.prependListener("request", ({ url = "" }) => void heard.push(url)); // as tracing tools do
    const status = async (path: string, method = "GET"): Promise<number> => {
      const response = await fetch(url + path, { method });
      await response.text();
      return response.status;
    };
    assert.equal(await status("/health?verbose"), 503);
    assert.equal(await status("/health", "HEAD"), 503);
    assert.equal(await status("/health", "POST"), 200);
    assert.equal(await status("/healthy"), 200);
    assert.equal(await status("/"), 200);
    assert.deepEqual(heard, ["/health", "/healthy", "/"]);
  });

  it("can be mounted in Express", async () => {
    const app = express();
    const { agent, clock } = made();
    app.use("/internal/health", agent.healthHandler());
    const server: Server = app.listen(0, "127.0.0.1");
    opened.push(server);
    await once(server, "listening");
    const look = looker(server);
    assert.deepEqual(await look("/internal/health"), [503, "starting", "idle"]);
    await agent.start();
    await clock.advance(0);
    assert.deepEqual(await look("/internal/health"), [200, "ok", "registered"]);
    assert.deepEqual(await look("/internal/health/live"), [200, "ok", "registered"]);
  });

  it("can be mounted in Fastify", async () => {
    const app = Fastify();
    const { agent } = made();
    const show = agent.healthHandler();
    app.get("/health", (incoming, reply) => {
      reply.hijack();
      show(incoming.raw, reply.raw);
    });
    await app.listen({ port: 0, host: "127.0.0.1" });
    await agent.start();
    assert.deepEqual(await looker(app.server)("/health"), [200, "ok", "registered"]);
    await app.close();
  });
});

function made(options: Partial<CreateAgentOptions> = {}) {
  const clock = new ManualClock();
  const faulty = faultyRegistry(clock);
  const checks: (HealthCheck | undefined)[] = [];
  const { register } = faulty.registry;
  faulty.registry.register = (instance, how) => {
    checks.push(how.health);
    return register(instance, how);
  };
  const settings = { registry: faulty.registry, service: "orders", host: "127.0.0.1", port: 3_000, clock };
  const agent: Agent = createAgent({ ...settings, random: () => 0.5, ...options });
  return { agent, clock, faulty, checks };
}

async function stage(options?: Partial<CreateAgentOptions>, attach?: AttachOptions) {
  const { agent, ...rest } = made(options);
  const server = createServer((incoming, response) => response.end(`app ${incoming.method} ${incoming.url}`));
  opened.push(server);
  agent.attach(server, { signals: false, ...attach });
  const begun = once(server, "listening");
  server.listen(0, "127.0.0.1");
  await begun;
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { agent, server, url, look: looker(server), ...rest };
}

function looker(server: Server): (path: string) => Promise<[number, string, string]> {
  return async (path) => {
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
    const { status, registration } = (await response.json()) as { status: string; registration: string };
    return [response.status, status, registration];
  };
}
