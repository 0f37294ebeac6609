import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { afterEach, describe, it } from "vitest";
import { http } from "../../src/adapters/http.js";
import { DiscoveryError, type ErrorCode } from "../../src/model/errors.js";
import { defineInstance } from "../../src/model/instance.js";
import type { Lease } from "../../src/registry/registry.js";
import { haltSignal } from "../../src/runtime/deadline.js";
import { startBackend } from "../fakes/backend.js";

const { signal } = new AbortController();
const instance = defineInstance({ service: "orders", host: "10.0.0.1", port: 80 });
const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

describe("http", () => {
  it("asks on condition that something changed, and takes 304 for no", async () => {
    const { registry, seen } = await speaking((request, response) => {
      if (request.headers["if-none-match"] === '"e:5"') response.writeHead(304).end();
      else json(response, 200, { epoch: "e", revision: 5, warming: false, instances: [] });
    });
    const first = await registry.list("orders", { signal });
    assert.deepEqual(first.type === "reset" && first.position, "e:5");
    assert.deepEqual(await registry.list("orders", { since: "e:5", signal }), { type: "current", position: "e:5" });
    assert.deepEqual(
      seen.map(({ url }) => url),
      Array(2).fill("/v1/services/orders/instances"),
    );
  });

  it("tells the registry that does not know a name from the path at which there is no registry", async () => {
    const problem = { code: "SERVICE_UNKNOWN", epoch: "e", warming: false };
    const unknown = await speaking((_, response) => json(response, 404, problem));
    assert.deepEqual(await unknown.registry.list("orders", { signal }), { type: "absent", epoch: "e", warming: false });
    const elsewhere = await speaking((_, response) => json(response, 404, { error: "no route" }));
    await rejects(elsewhere.registry.list("orders", { signal }), "PROTOCOL");
  });

  it("asks whether another registry listens there, when no registry of ours would answer so", async () => {
    const answers: ((response: ServerResponse) => unknown)[] = [
      (response) => response.writeHead(404).end("404 page not found"), // a Consul, an etcd
      (response) => response.writeHead(405).end(),
      (response) => response.end("<html>"),
    ];
    for (const answer of answers) {
      const { registry } = await speaking((_, response) => answer(response));
      for (const asked of [
        registry.register(instance, { ttlMs: 30_000, signal }),
        registry.list("orders", { signal }),
        registry.services?.({ signal }),
      ]) {
        await assert.rejects(
          async () => asked,
          /is that a registry of this package\? URLs of others begin with consul:.*\(PROTOCOL\)$/,
        );
      }
    }
  });

  it("applies the records it can read and counts the others", async () => {
    const good = { service_name: "orders", host: "10.0.0.1", port: 80 };
    const instances = [
      ...Array.from({ length: 99 }, (_, index) => ({ ...good, port: index + 1 })),
      { ...good, port: -1 },
    ];
    const { registry } = await speaking((_, response) => json(response, 200, { epoch: "e", revision: 1, instances }));
    const update = await registry.list("orders", { signal });
    assert.deepEqual(update.type === "reset" && [update.instances.length, update.invalid], [99, 1]);
  });

  it("sends no more than a thousand leases a request, and joins the answers", async () => {
    const sizes: number[] = [];
    const { registry } = await speaking((_, response, body) => {
      const leases = body["leases"] as { lease_id: string }[];
      sizes.push(leases.length);
      const unknown = leases.slice(0, 1).map(({ lease_id }) => ({ lease_id, reason: "expired" }));
      json(response, 200, { renewed: [], unknown, heartbeat_interval: 2.5, epoch: "e" });
    });
    const beats = Array.from({ length: 2_500 }, (_, index) => ({ lease: leaseOf(`lease-${index}`) }));
    const { unknown, heartbeatMs, epoch } = await registry.renew(beats, { signal });
    assert.deepEqual(sizes, [1_000, 1_000, 500]);
    assert.deepEqual(
      unknown.map(({ lease, reason }) => `${lease.id} ${reason}`),
      ["lease-0 expired", "lease-1000 expired", "lease-2000 expired"],
    );
    assert.deepEqual([heartbeatMs, epoch], [2_500, "e"]);
  });

  it("tells what the registry publishes of each lease, and skips a status it does not know", async () => {
    const { registry } = await speaking((_, response, body) => {
      const leases = body["leases"] as { lease_id: string }[];
      const renewed = leases.map(({ lease_id }, index) => ({ lease_id, status: index % 2 ? "failed" : "gone" }));
      json(response, 200, { renewed: [...renewed, null, { status: "healthy" }], unknown: [], epoch: "e" });
    });
    const beats = Array.from({ length: 1_002 }, (_, index) => ({ lease: leaseOf(`lease-${index}`) }));
    const { statuses } = await registry.renew(beats, { signal });
    assert.equal(statuses?.size, 501);
    assert.equal(statuses?.get("lease-1001"), "failed");
    assert.equal(statuses?.get("lease-1000"), undefined);
  });

  it("knows which life a lease began, and keeps it over an update", async () => {
    const told = { lease_id: "mine", ttl: 30, incarnation: 7, registered_at: 1_000, epoch: "e" };
    const { registry } = await speaking((_, response) => json(response, 201, told));
    const lease = await registry.register(instance, { ttlMs: 30_000, signal });
    assert.deepEqual([lease.instance.incarnation, lease.instance.registeredAt], [7, 1_000_000]);
    const updated = await registry.update(lease, { ...instance, weight: 3 }, { signal });
    assert.deepEqual([updated.instance.incarnation, updated.instance.weight], [7, 3]);
  });

  it("tells who registers, and how new it is what it tells", async () => {
    const bodies: (readonly unknown[])[] = [];
    const { registry } = await speaking((_, response, body) => {
      const { holder, edition } = body as Record<string, unknown>;
      bodies.push([holder, edition]);
      json(response, 201, { lease_id: "mine", ttl: 30 });
    });
    const lease = await registry.register(instance, { ttlMs: 30_000, holder: "a secret of mine", edition: 3, signal });
    await registry.update(lease, instance, { edition: 4, signal });
    assert.deepEqual(bodies, [
      ["a secret of mine", 3],
      [undefined, 4],
    ]);
  });

  it("asks a deregistration to wait only when told to, and tells who took note", async () => {
    const bodies: unknown[] = [];
    const { registry } = await speaking((_, response, body) => {
      bodies.push(body);
      json(response, 200, { acked: 2, waiting: 1 });
    });
    assert.equal(registry.capabilities.acks, true);
    assert.deepEqual(await registry.deregister(leaseOf("a"), { signal, waitMs: 5_000 }), { acked: 2, waiting: 1 });
    await registry.deregister(leaseOf("b"), { signal });
    assert.deepEqual(bodies, [{ lease_id: "a", wait_ms: 5_000 }, { lease_id: "b" }]);
  });

  it("beats while more deregistrations wait than there are sockets", async () => {
    const { registry } = await speaking((request, response) => {
      if (request.url === "/v1/heartbeat") json(response, 200, { renewed: [], unknown: [], epoch: "e" });
    });
    const halt = haltSignal();
    const leaving = Array.from({ length: 100 }, (_, index) =>
      registry.deregister(leaseOf(`lease-${index}`), { signal: halt.signal, waitMs: 5_000 }),
    );
    const all = Promise.allSettled(leaving);
    assert.equal((await registry.renew([{ lease: leaseOf("mine") }], { signal })).epoch, "e");
    halt.abort();
    await all;
  });

  it("takes 404 for a single heartbeat as an unknown lease, and any other 404 as a failure", async () => {
    const mine = leaseOf("mine");
    const lost = await speaking((_, response) => json(response, 404, { code: "LEASE_UNKNOWN" }));
    const { unknown } = await lost.registry.renew([{ lease: mine }], { signal });
    assert.deepEqual(unknown, [{ lease: mine, reason: "unknown" }]);
    const proxy = await speaking((_, response) => response.writeHead(404).end("<html>"));
    await rejects(proxy.registry.renew([{ lease: mine }], { signal }), "REJECTED");
  });

  it("says in a closed list of codes what went wrong", async () => {
    const answers: readonly [ErrorCode, (response: ServerResponse) => unknown][] = [
      ["UNAUTHORIZED", (response) => json(response, 401, {})],
      ["ID_CONFLICT", (response) => json(response, 409, { detail: "held by another" })],
      ["OVERLOADED", (response) => json(response, 429, {})],
      ["REJECTED", (response) => json(response, 422, { detail: "port" })],
      ["REJECTED", (response) => response.writeHead(302, { location: "http://169.254.169.254/" }).end()],
      ["UNAVAILABLE", (response) => json(response, 503, {})],
      ["UNAVAILABLE", (response) => response.destroy()],
      ["UNAVAILABLE", (response) => truncated(response)],
      ["PROTOCOL", (response) => response.end("<html>")],
      ["PROTOCOL", (response) => json(response, 200, {})],
    ];
    for (const [code, answer] of answers) {
      const { registry, seen } = await speaking((_, response) => answer(response));
      await rejects(registry.register(instance, { ttlMs: 30_000, signal }), code);
      assert.equal(seen.length, 1); // nothing is followed, nothing is tried again
    }
  });

  it("shows its token to the registry and to nobody else", async () => {
    const { registry, seen } = await speaking((_, response) => json(response, 401, {}), "s3cret");
    const error = await registry.services?.({ signal }).catch((cause: unknown) => cause);
    assert.equal(seen[0]?.headers.authorization, "Bearer s3cret");
    const { inspect } = await import("node:util");
    assert.doesNotMatch(inspect([error, registry], { depth: 9, showHidden: true }), /s3cret/);
  });
});

async function speaking(
  answer: (request: IncomingMessage, response: ServerResponse, body: Record<string, unknown>) => unknown,
  token?: string,
) {
  const seen: IncomingMessage[] = [];
  const backend = await startBackend(async (request, response) => {
    seen.push(request);
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    answer(request, response, text === "" ? {} : JSON.parse(text));
  });
  const registry = http({ url: `http://127.0.0.1:${backend.port}`, ...(token === undefined ? {} : { token }) });
  opened.push(backend, registry);
  return { registry, seen };
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function truncated(response: ServerResponse): void {
  response.writeHead(200, { "content-length": 100 });
  response.write("{", () => response.destroy());
}

function leaseOf(id: string): Lease {
  return { id, instance, ttlMs: 30_000, heartbeatMs: 10_000 };
}

async function rejects(task: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(task, (error) => DiscoveryError.is(error, code) || assert.fail(`${code}, not ${String(error)}`));
}
