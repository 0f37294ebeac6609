import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, it } from "vitest";
import { http } from "../../src/adapters/http.js";
import { defineInstance } from "../../src/model/instance.js";
import { memoryRegistry } from "../../src/registry/memory.js";
import { createRegistryServer } from "../../src/server/index.js";
import { ManualClock } from "../../src/testing/index.js";

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe("a registry server whose instances fail", () => {
  it("tells, calls the alarm, and unlists what its probes find sick until it is well again", async () => {
    let status = 200;
    const backend = createServer((_request, response) => {
      response.statusCode = status;
      response.end();
    });
    backend.listen(0, "127.0.0.1");
    opened.push(backend);
    await once(backend, "listening");
    const { port } = backend.address() as AddressInfo;
    const alarms: string[] = [];
    const { server, registry, signal } = await serve({ alarm: ({ reason, left }) => alarms.push(`${reason} ${left}`) });
    const told: string[] = [];
    server.on("failed", ({ instance }) => told.push(`failed ${instance.id}`));
    server.on("recovered", ({ instance }) => told.push(`recovered ${instance.id}`));
    const instance = defineInstance({ service: "orders", host: "127.0.0.1", port });
    const health = { path: "/health", intervalMs: 1_000, timeoutMs: 500, failures: 2 };
    const lease = await registry.register(instance, { ttlMs: 60_000, signal, health });
    status = 500;
    await until(() => told.length === 1);
    assert.deepEqual(await listed(registry, signal), []);
    const { statuses, unknown } = await registry.renew([{ lease }], { signal });
    assert.deepEqual([statuses?.get(lease.id), unknown], ["failed", []]);
    status = 200;
    await until(() => told.length === 2);
    assert.deepEqual(await listed(registry, signal), [instance.id]);
    assert.deepEqual(told, [`failed ${instance.id}`, `recovered ${instance.id}`]);
    assert.deepEqual(alarms, ["probe_failed 0"]);
  });

  it("lets suspects go at its own registry's word, or at that of the one it was handed", () => {
    const own = createRegistryServer({ port: 0 });
    const memory = memoryRegistry();
    const handed = createRegistryServer({ port: 0, registry: memory });
    opened.push(own, handed, memory);
    assert.equal(own.registry.release("orders"), 0); // that it is typed is the point
    assert.equal(handed.registry.release("orders"), 0);
  });

  it("says how often in its status", async () => {
    const clock = new ManualClock();
    const { url, registry, signal } = await serve({ clock });
    await registry.register(defineInstance({ service: "orders", host: "127.0.0.1", port: 1 }), {
      ttlMs: 3_000,
      signal,
    });
    await clock.advance(4_000);
    const { counters } = (await (await fetch(`${url}/v1/status`)).json()) as { counters: Record<string, number> };
    assert.deepEqual([counters["registered"], counters["expired"]], [1, 1]);
  });
});

async function serve(options: Parameters<typeof createRegistryServer>[0]) {
  const server = createRegistryServer({ port: 0, warmingMs: 0, ...options });
  opened.push(server);
  const url = await server.listen();
  const registry = http({ url });
  opened.push(registry);
  return { server, url, registry, signal: new AbortController().signal };
}

async function listed(registry: ReturnType<typeof http>, signal: AbortSignal): Promise<string[]> {
  const update = await registry.list("orders", { signal });
  return update.type === "reset" ? update.instances.map(({ id }) => id) : [];
}

/** Probes go over real sockets, at least a second apart. */
async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 20) {
    assert.ok(waited < 15_000, "it did not come to pass within 15 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
