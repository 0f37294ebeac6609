import assert from "node:assert/strict";
import { afterEach, describe, it } from "vitest";
import { http } from "../../src/adapters/http.js";
import { defineInstance } from "../../src/model/instance.js";
import { memoryRegistry } from "../../src/registry/memory.js";
import { createRegistryServer, type RegistryServerOptions } from "../../src/server/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { type Backend, startBackend } from "../fakes/backend.js";

const { signal } = new AbortController();
const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

describe("a registry that is asked to probe", () => {
  it("looks after an instance that an agent's adapter registered", async () => {
    const { url, until, observed } = await start();
    let status = 404;
    const backend = await serving((_, response) => response.writeHead(status).end());
    const registry = http({ url });
    opened.push(registry);
    const instance = defineInstance({ service: "orders", host: "127.0.0.1", port: backend.port });
    const health = { path: "/up?deep=1", intervalMs: 2_000, timeoutMs: 1_000, failures: 2 };
    await registry.register(instance, { ttlMs: 86_400_000, health, signal });
    await until(() => backend.requests.length >= 3);
    assert.deepEqual(new Set(backend.requests), new Set(["GET /up?deep=1"]));
    status = 503;
    await until(() => observed.length >= 1);
    status = 200;
    await until(() => observed.length >= 2);
    assert.deepEqual(observed, ["failed", "healthy"]);
  });

  it("finds out that an instance is gone, and tells only counts of it", async () => {
    const { post, get, until, observed } = await start();
    const backend = await serving((_, response) => response.writeHead(200, { "x-secret": "s3cret" }).end("s3cret"));
    const { status, body } = await post({ ...at(backend), ttl: 3_600, health_check: {} });
    assert.deepEqual([status, body.probed], [201, true]);
    await until(() => backend.requests.length >= 1);
    assert.deepEqual(backend.requests, ["GET /health"]);
    await backend.close();
    await until(() => observed.length >= 1);
    assert.deepEqual(observed, ["failed"]);
    const told = await get("/v1/status");
    assert.deepEqual(told.body.prober, { targets: 1, probes: 4, failed: 3, denied: 0, unprobed: 0 });
    for (const path of ["/v1/status", "/v1/services", "/v1/services/orders/instances"]) {
      assert.ok(!JSON.stringify((await get(path)).body).includes("s3cret"), path);
    }
  });

  it("probes nobody who did not ask, or no longer does", async () => {
    const { post, get, until } = await start();
    const backend = await serving((_, response) => response.end());
    assert.equal("probed" in (await post({ ...at(backend), ttl: 3_600 })).body, false);
    await post({ ...at(backend), ttl: 3_600, health_check: {} });
    await until(() => backend.requests.length >= 1);
    await post({ ...at(backend), ttl: 3_600, health_check: false });
    assert.equal((await get("/v1/status")).body.prober.targets, 0);
  });

  it("refuses what is wrong or must not be probed, naming the field, and registers nobody by that", async () => {
    const { post, get } = await start();
    const base = { service_name: "orders", host: "10.0.0.7", port: 8_080 };
    const wrong: [object, string][] = [
      [{ ...base, health_check: true }, "health_check"],
      [{ ...base, health_check: { path: "//evil.com" } }, "health_check.path"],
      [{ ...base, health_check: { path: "/a\r\nhost: evil.com" } }, "health_check.path"],
      [{ ...base, health_check: { interval: 0 } }, "health_check.interval"],
      [{ ...base, health_check: { timeout: 11 } }, "health_check.timeout"],
      [{ ...base, health_check: { failures: 0 } }, "health_check.failures"],
      [{ ...base, host: "169.254.169.254", health_check: {} }, "health_check"],
      [{ ...base, host: "2002:a9fe:a9fe::1", health_check: {} }, "health_check"],
      [{ ...base, port: 22, health_check: {} }, "health_check"],
    ];
    for (const [fields, field] of wrong) {
      const { status, body } = await post(fields);
      assert.deepEqual([status, body.code, body.field], [422, "REJECTED", field], JSON.stringify(fields));
      assert.ok(body.detail.startsWith(field), body.detail);
    }
    assert.deepEqual((await get("/v1/services")).body.services, []);
    assert.equal((await post({ ...base, host: "169.254.169.254" })).status, 201); // unprobed it harms nobody
  });

  it("never follows a host that turns to a metadata address by a redirect", async () => {
    const { post, until, get } = await start();
    const location = "http://169.254.169.254/latest/meta-data/";
    const backend = await serving((_, response) => response.writeHead(302, { location }).end());
    await post({ ...at(backend), ttl: 3_600, health_check: { interval: 1 } });
    await until(() => backend.requests.length >= 3);
    assert.equal((await get("/v1/status")).body.prober.failed, 0);
  });

  it("probes only what its operator allows, once there is a list", async () => {
    const { post } = await start({ probe: { allow: ["10.0.0.0/8"] } });
    const base = { service_name: "orders", port: 22, health_check: {} };
    assert.equal((await post({ ...base, host: "10.0.0.7" })).status, 201);
    assert.equal((await post({ ...base, host: "192.168.0.7" })).body.field, "health_check");
  });

  it("registers without a probe whoever has too many, and says so", async () => {
    const { post, get } = await start({ probe: { maxPerPeer: 1 } });
    const base = { service_name: "orders", port: 8_080, health_check: {} };
    assert.equal((await post({ ...base, host: "10.0.0.1" })).body.probed, true);
    const { status, body } = await post({ ...base, host: "10.0.0.2" });
    assert.deepEqual([status, body.probed], [201, false]);
    assert.equal((await get("/v1/status")).body.prober.unprobed, 1);
  });

  it("stops to probe when it is closed", async () => {
    const { post, until, server, clock } = await start();
    const backend = await serving(() => {}); // never answers
    await post({ ...at(backend), ttl: 3_600, health_check: { interval: 1 } });
    await until(() => backend.requests.length >= 1);
    await server.close();
    while (clock.pending > 1) await new Promise(setImmediate); // the memory's own sweep stays: this test made it
    await clock.advance(60_000);
    assert.equal(backend.requests.length, 1);
  });

  it("refuses options that mean nothing", () => {
    const wrong: [object, string][] = [
      [{ probe: { allowed: [] } }, "server.probe.allowed"],
      [{ probe: { allow: ["10.0.0.0/40"] } }, "server.probe.allow[0]"],
      [{ probe: { maxPerPeer: -1 } }, "server.probe.maxPerPeer"],
      [{ hostPolicy: "some" }, "server.hostPolicy"],
      [{ hostPolicy: ["10.0.0.0/40"] }, "server.hostPolicy[0]"],
    ];
    for (const [options, field] of wrong) assert.throws(() => createRegistryServer(options), { field });
  });
});

describe("hostPolicy", () => {
  it("lets anybody on this machine register any host, unless told otherwise", async () => {
    const { post } = await start();
    assert.equal((await post({ service_name: "orders", host: "192.168.1.100", port: 8_080 })).status, 201);
  });

  it("takes only a registrant's own address where the network can register", async () => {
    const { post, get } = await start({ host: "0.0.0.0", insecure: true });
    const own = await post({ service_name: "orders", host: "127.0.0.1", port: 8_080 });
    assert.equal(own.status, 201);
    for (const host of ["10.0.0.7", "127.0.0.2", "localhost", "orders.internal"]) {
      const { status, body } = await post({ service_name: "orders", host, port: 8_081 });
      assert.deepEqual([status, body.code, body.field], [403, "HOST_NOT_ALLOWED", "host"], host);
    }
    assert.equal((await get("/v1/services/orders/instances")).body.instances.length, 1);
  });

  it("has this machine probed only for whoever registers from it", async () => {
    const { post, server } = await start({ host: "0.0.0.0", insecure: true, hostPolicy: "any" });
    const fields = { service_name: "orders", host: "127.0.0.1", port: 8_080, health_check: {} };
    assert.equal((await post(fields)).status, 201);
    const far = await startBackend((request, response) => {
      Object.defineProperty(request.socket, "remoteAddress", { value: "203.0.113.7" }); // from another machine
      server.handle(request, response);
    });
    opened.push(far);
    const { status, body } = await post(fields, `http://127.0.0.1:${far.port}`);
    assert.deepEqual([status, body.field], [422, "health_check"]);
  });

  it("takes the ranges its operator names", async () => {
    const { post } = await start({ hostPolicy: ["10.0.0.0/8"] });
    assert.equal((await post({ service_name: "orders", host: "10.0.0.7", port: 8_080 })).status, 201);
    assert.equal((await post({ service_name: "orders", host: "127.0.0.1", port: 8_080 })).status, 403);
  });
});

async function start(options: RegistryServerOptions = {}) {
  const clock = new ManualClock();
  const observed: string[] = [];
  const observe = (_: string, seen: string): void => void observed.push(seen);
  const registry = Object.assign(memoryRegistry({ clock, warmingMs: 0 }), { observe });
  const server = createRegistryServer({ port: 0, clock, registry, ...options });
  opened.push(registry, server);
  const url = (await server.listen()).replace("0.0.0.0", "127.0.0.1");
  const send = async (path: string, init?: RequestInit, origin = url) => {
    const answer = await fetch(`${origin}${path}`, init);
    // biome-ignore lint/suspicious/noExplicitAny: answers are looked into as they come
    return { status: answer.status, body: (await answer.json()) as any };
  };
  const headers = { "content-type": "application/json" };
  const post = (fields: object, origin?: string) =>
    send("/v1/register", { method: "POST", headers, body: JSON.stringify(fields) }, origin);
  /** Lets time pass, and sockets keep up with it, until something is so. */
  const until = async (isSo: () => boolean): Promise<void> => {
    for (let round = 0; round < 2_000 && !isSo(); round++) {
      await clock.advance(50);
      await new Promise((resolve) => setTimeout(resolve, 4));
    }
    assert.ok(isSo());
  };
  return { clock, server, url, observed, post, until, get: (path: string) => send(path) };
}

async function serving(answer: Parameters<typeof startBackend>[0]): Promise<Backend> {
  const backend = await startBackend(answer);
  opened.push(backend);
  return backend;
}

function at({ port }: Backend) {
  return { service_name: "orders", host: "127.0.0.1", port };
}
