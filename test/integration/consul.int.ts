import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, it } from "vitest";
import { type ConsulOptions, consul } from "../../src/adapters/consul.js";
import { createAgent, createResolver, DiscoveryError, defineInstance, type ErrorCode } from "../../src/index.js";
import { systemClock } from "../../src/runtime/clock.js";
import { startFaultProxy } from "../fakes/fault-proxy.js";
import { type RunningRegistry, startRegistry, whyMissing } from "../registries/start.js";
import { leavesInGoodOrder, servesThroughRestart } from "../registries/stories.js";

const missing = await whyMissing("consul.sh");
const TOKEN = "5f0b3ac1-7e0a-4d5f-9a55-0d7b7c1f3f51";

let server: RunningRegistry;
const opened: { close(): Promise<unknown> }[] = [];
const { signal } = new AbortController();

describe.skipIf(missing)("a real Consul", () => {
  beforeAll(async () => {
    server = await startRegistry("consul.sh");
  });
  afterEach(async () => {
    for (const each of opened.splice(0).reverse()) await each.close();
  });
  afterAll(() => server?.stop());

  it("is of the version that was asked for, or of the one there is by default", () => {
    assert.deepEqual(server.info["version"], [process.env["CONSUL_GO_VERSION"] || "v1.8.7"]);
  });

  it("may be restarted empty: agents are back, and a resolver serves without a break", () =>
    servesThroughRestart(url("consul:"), { ttlMs: 3_000, restart }));

  it("tells of a service whose last instance left in good order at once, not after a time of doubt", () =>
    leavesInGoodOrder(url("consul:")));

  it("knows services in whatever case others wrote them", async () => {
    await put("agent/service/register", { ID: "w1", Name: "Web", Port: 80, Meta: { scheme: "https" } });
    const registry = keep(consul({ url: url() }));
    const update = await registry.list("web", { signal });
    assert.deepEqual(
      update.type === "reset" && update.instances.map(({ id, host, protocol }) => [id, host, protocol]),
      [["mcp-test/w1", "127.0.0.1", "https"]],
    );
    assert.ok((await registry.services?.({ signal }))?.includes("web"));
  });

  it("keeps what an operator put into maintenance draining, whatever its agent beats", async () => {
    const registry = keep(consul({ url: url() }));
    const instance = defineInstance({ service: "mended", host: "127.0.0.1", port: 3_000 });
    const lease = await registry.register(instance, { ttlMs: 9_000, signal });
    await put(`agent/service/maintenance/${encodeURIComponent(instance.id)}?enable=true&reason=disk`);
    await registry.renew([{ lease, status: "healthy" }], { signal });
    const update = await registry.list("mended", { signal });
    assert.deepEqual(update.type === "reset" && update.instances.map(({ status }) => status), ["draining"]);
  });

  it("lists those that failed as failed, not as gone", async () => {
    const registry = keep(consul({ url: url() }));
    const ID = "sick-1";
    await put("agent/service/register", { ID, Name: "sick", Port: 80, Check: { CheckID: ID, TTL: "9s" } });
    const update = await registry.list("sick", { signal });
    assert.deepEqual(update.type === "reset" && update.instances.map(({ status }) => status), ["failed"]);
  });

  it("is read at most five times a second in a storm of changes, and the end of it is told", async () => {
    const proxy = keep(await startFaultProxy(url()));
    const registry = keep(consul({ url: proxy.url }));
    const own = keep(consul({ url: url() }));
    const instance = (weight: number) => defineInstance({ service: "storm", host: "127.0.0.1", port: 3_000, weight });
    const lease = await own.register(instance(1), { ttlMs: 60_000, signal });
    const halt = new AbortController();
    const seen: number[] = [];
    const watched = (async () => {
      for await (const update of registry.watch?.("storm", { signal: halt.signal }) ?? []) {
        if (update.type === "reset") seen.push(update.instances[0]?.weight ?? 0);
      }
    })().catch(() => {});
    while (seen.at(-1) !== 1) await systemClock.sleep(5);
    const [began, before] = [systemClock.now(), proxy.requests.length];
    for (let next = 2; next <= 300; next++) await own.update(lease, instance(next), { signal });
    while (seen.at(-1) !== 300) await systemClock.sleep(5);
    const seconds = (systemClock.now() - began) / 1_000;
    halt.abort();
    await watched;
    const reads = proxy.requests.length - before;
    assert.ok(reads <= 2 + 5 * seconds, `${reads} reads in ${seconds} s`);
  });

  it("is asked in a quiet time as often as its waits end, once per service, however many resolvers share it", async () => {
    const proxy = keep(await startFaultProxy(url()));
    const registry = keep(consul({ url: proxy.url, waitMs: 1_000 }));
    const names = ["quiet-1", "quiet-2", "quiet-3", "quiet-4", "quiet-5"];
    const enter = (service: string) =>
      registry.register(defineInstance({ service, host: "127.0.0.1", port: 3_000 }), { ttlMs: 60_000, signal });
    await Promise.all(names.map(enter));
    const resolvers = [keep(createResolver({ registry })), keep(createResolver({ registry }))];
    await Promise.all(resolvers.flatMap((resolver) => names.map((name) => resolver.service(name).ready())));
    await systemClock.sleep(1_500);
    const before = proxy.requests.length;
    await systemClock.sleep(3_000);
    const asked = proxy.requests.slice(before);
    const waits = asked.filter((each) => each.includes("index="));
    assert.ok(waits.length >= names.length && waits.length <= 4 * names.length, `${waits.length} blocking queries`);
    assert.deepEqual(
      asked.filter((each) => !waits.includes(each)),
      [],
    );
  });

  it("is asked once per service by all that have the same URL in one process, and no more while nothing changes", async () => {
    const proxy = keep(await startFaultProxy(url()));
    const registry = proxy.url.replace("http:", "consul:");
    const names = ["joint-1", "joint-2", "joint-3"];
    for (const name of names) await put("agent/service/register", { Name: name, Port: 80 });
    const resolvers = [keep(createResolver({ registry })), keep(createResolver({ registry }))];
    const value = keep(consul({ url: proxy.url }));
    resolvers.push(keep(createResolver({ registry: value })));
    await Promise.all(resolvers.flatMap((resolver) => names.map((name) => resolver.service(name).ready())));
    const waits = () => proxy.requests.filter((each) => each.includes("index="));
    while (waits().length < names.length) await systemClock.sleep(10);
    await systemClock.sleep(1_000);
    assert.equal(waits().length, names.length);
    await resolvers[0]?.close();
    await put("agent/service/register", { Name: "joint-1", Port: 81 });
    for (const resolver of resolvers.slice(1)) {
      while (resolver.service("joint-1").instances()[0]?.port !== 81) await systemClock.sleep(5);
    }
    await systemClock.sleep(200);
    assert.equal(waits().length, names.length + 1);
  });

  it("says what is wrong with a datacenter that does not exist", async () => {
    const registry = keep(consul({ url: url(), datacenter: "nowhere" }));
    await rejects(registry.list("orders", { signal }), "REJECTED", /No path to datacenter.*does that datacenter exist/);
  });

  it("says what is wrong with a port where nobody listens, and one that speaks something else", async () => {
    const rpc = server.info["rpc"]?.[0] ?? "";
    await rejects(list({ url: "http://127.0.0.1:1" }), "UNAVAILABLE", /127\.0\.0\.1:1.*is it running/);
    await rejects(list({ url: url().replace("http:", "https:") }), "PROTOCOL", /speaks no TLS/);
    await assert.rejects(list({ url: `http://${rpc}` }), (error) => DiscoveryError.is(error));
  });

  describe("with access control", () => {
    let guarded: RunningRegistry;
    beforeAll(async () => {
      guarded = await startRegistry("consul.sh", ["--acl", TOKEN]);
    });
    afterAll(() => guarded?.stop());

    it("takes who shows a token", async () => {
      const registry = keep(consul({ url: guarded.url, token: TOKEN }));
      const instance = defineInstance({ service: "guarded", host: "127.0.0.1", port: 3_000 });
      const lease = await registry.register(instance, { ttlMs: 9_000, signal });
      assert.deepEqual((await registry.renew([{ lease }], { signal })).unknown, []);
      assert.equal((await registry.list("guarded", { signal })).type, "reset");
    });

    it("refuses who shows none, or an unknown one, and an agent hears so at once", async () => {
      const agent = (token?: string) => {
        const registry = keep(consul({ url: guarded.url, token }));
        return keep(createAgent({ registry, service: "guarded", host: "127.0.0.1", port: 3_001 })).start();
      };
      await rejects(agent(), "UNAUTHORIZED", /Permission denied.*service:write/);
      await rejects(agent("0d7b7c1f-0000-0000-0000-000000000000"), "UNAUTHORIZED", /does not know the token/);
    });

    it("shows an empty list to who may no longer read, which empties no resolver while the instance lives", async () => {
      const ttlMs = 3_000;
      const rules = 'service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }';
      const policy = await acl("policy", { Name: "orders", Rules: rules });
      const { SecretID: token } = await acl("token", { Policies: [{ ID: policy["ID"] }] });
      const registry = keep(consul({ url: guarded.url, token: String(token) }));
      const server = createServer((_, response) => response.end("here")).listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      await keep(createAgent({ registry, service: "shy", host: "127.0.0.1", port, ttlMs })).start();
      const held = once(waitingQueries("shy"), "sent");
      const service = keep(createResolver({ registry, refreshMs: 1_000 })).service("shy");
      await service.ready();
      await held; // Consul 1.20 answers whoever begins to ask later with a refusal, which is no list
      await acl(`policy/${policy["ID"]}`, { ID: policy["ID"], Name: "orders", Rules: "" });
      while (service.snapshot.suspects.length === 0) await systemClock.sleep(20);
      for (const until = systemClock.now() + 4 * ttlMs; systemClock.now() < until; await systemClock.sleep(50)) {
        const { statusCode, body } = await service.request("/");
        assert.deepEqual([statusCode, await body.text()], [200, "here"]);
      }
      server.close().closeAllConnections(); // now nobody listens there, and Consul goes on saying nothing
      while (service.instances().length > 0) await systemClock.sleep(50);
      assert.throws(() => service.pickNow());
    });

    async function acl(path: string, body: object): Promise<Record<string, unknown>> {
      const headers = { "x-consul-token": TOKEN };
      const answer = await fetch(`${guarded.url}/v1/acl/${path}`, {
        method: "PUT",
        headers,
        body: JSON.stringify(body),
      });
      assert.equal(answer.status, 200);
      return (await answer.json()) as Record<string, unknown>;
    }
  });
});

function url(scheme = "http:"): string {
  return server.url.replace("http:", scheme);
}

function keep<T extends { close(): Promise<unknown> }>(value: T): T {
  opened.push(value);
  return value;
}

/** Tells when a blocking query of a service has been sent. */
function waitingQueries(service: string): EventEmitter {
  const told = new EventEmitter();
  const sent = (message: unknown): void => {
    const { path } = (message as { readonly request: { readonly path: string } }).request;
    if (path.startsWith(`/v1/health/service/${service}?index=`)) told.emit("sent");
  };
  subscribe("undici:client:sendHeaders", sent);
  opened.push({ close: async () => void unsubscribe("undici:client:sendHeaders", sent) });
  return told;
}

function list(options: ConsulOptions) {
  return keep(consul(options)).list("guarded", { signal });
}

async function restart(): Promise<void> {
  await server.stop();
  server = await startRegistry("consul.sh", ["--port", String(server.port)]);
}

async function put(path: string, body?: unknown): Promise<void> {
  const answer = await fetch(`${url()}/v1/${path}`, { method: "PUT", body: JSON.stringify(body) ?? null });
  assert.equal(answer.status, 200, await answer.text());
}

function rejects(call: Promise<unknown>, code: ErrorCode, pattern: RegExp): Promise<void> {
  return assert.rejects(call, (error) => {
    assert.ok(DiscoveryError.is(error, code), String(error));
    assert.match(error.message, pattern);
    return true;
  });
}
