import assert from "node:assert/strict";
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, it } from "vitest";
import { type EurekaOptions, eureka } from "../../src/adapters/eureka.js";
import { createResolver, defineInstance } from "../../src/index.js";
import { systemClock } from "../../src/runtime/clock.js";
import { haltSignal } from "../../src/runtime/deadline.js";
import { startFaultProxy } from "../fakes/fault-proxy.js";
import { keep } from "../opened.js";
import { type RunningRegistry, startRegistry, whyMissing } from "../registries/start.js";
import { leavesInGoodOrder, servesThroughRestart } from "../registries/stories.js";
import { rejects } from "../rejects.js";

const missing = await whyMissing("eureka.sh");
const DATA_CENTER = { "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", name: "MyOwn" };

let server: RunningRegistry;
const { signal } = haltSignal();

describe.skipIf(missing)("a real Eureka", () => {
  beforeAll(async () => {
    server = await startRegistry("eureka.sh");
  });
  afterAll(() => server?.stop());

  it("may be restarted empty: agents are back, and a resolver serves without a break", async () => {
    const restart = async (): Promise<void> => {
      await server.stop();
      server = await startRegistry("eureka.sh", ["--port", String(server.port)]);
    };
    await servesThroughRestart(keep(eureka({ url: url(), pollMs: 200 })), { ttlMs: 4_000, restart });
  });

  it("is left in good order: first draining, to everybody, then gone without a time of doubt", () =>
    leavesInGoodOrder(keep(eureka({ url: url(), pollMs: 100 })), async () => {
      assert.equal((await record("last-one@127.0.0.1:3001"))?.["status"], "OUT_OF_SERVICE");
    }));

  it("shows the pages that an instance is said to have, and links to its status page", async () => {
    const pages = { homePageUrl: "/", statusPageUrl: "/info", healthCheckUrl: "/health" };
    const instance = defineInstance({ service: "paged", host: "127.0.0.1", port: 3_000 });
    await keep(eureka({ url: url(), ...pages })).register(instance, { ttlMs: 9_000, signal });
    const { homePageUrl, statusPageUrl, healthCheckUrl } = (await record(instance.id)) ?? {};
    const at = "http://127.0.0.1:3000";
    assert.deepEqual([homePageUrl, statusPageUrl, healthCheckUrl], [`${at}/`, `${at}/info`, `${at}/health`]);
    const dashboard = await (await fetch(server.url)).text();
    assert.ok(dashboard.includes(`href="${at}/info"`));
  });

  it("takes back on start the drain in which an earlier life died", async () => {
    const instance = defineInstance({ service: "died", host: "127.0.0.1", port: 3_000 });
    const before = keep(eureka({ url: url() }));
    const lease = await before.register(instance, { ttlMs: 9_000, signal });
    await before.renew([{ lease, status: "draining" }], { signal });
    assert.equal((await record(instance.id))?.["status"], "OUT_OF_SERVICE");
    await keep(eureka({ url: url() })).register(instance, { ttlMs: 9_000, signal });
    const { status, overriddenStatus } = (await record(instance.id)) ?? {};
    assert.deepEqual([status, overriddenStatus], ["UP", "UNKNOWN"]);
  });

  it("keeps what an operator took out of service out, whatever its agent beats, updates or registers", async () => {
    const instance = defineInstance({ service: "mended", host: "127.0.0.1", port: 3_000 });
    const registry = keep(eureka({ url: url() }));
    const lease = await registry.register(instance, { ttlMs: 9_000, signal });
    await send("PUT", `apps/MENDED/${encodeURIComponent(instance.id)}/status?value=OUT_OF_SERVICE`);
    await registry.renew([{ lease, status: "healthy" }], { signal });
    await registry.update(lease, instance, { signal });
    await keep(eureka({ url: url() })).register(instance, { ttlMs: 9_000, signal });
    assert.equal((await record(instance.id))?.["status"], "OUT_OF_SERVICE");
  });

  it("is never told that an instance is up which begins as starting or draining", async () => {
    const registry = keep(eureka({ url: url() }));
    for (const [status, told] of [
      ["starting", "STARTING"],
      ["draining", "OUT_OF_SERVICE"],
    ] as const) {
      const instance = defineInstance({ service: "begins", host: "127.0.0.1", port: 3_000, status });
      const lease = await registry.register(instance, { ttlMs: 9_000, signal });
      assert.equal((await record(instance.id))?.["status"], told);
      await registry.renew([{ lease, status: "healthy" }], { signal });
      assert.equal((await record(instance.id))?.["status"], "UP");
      await registry.deregister(lease, { signal });
    }
  });

  it("keeps ids apart over all services, for it would take one for the other", async () => {
    const registry = keep(eureka({ url: url() }));
    const at = (service: string) => defineInstance({ service, id: "shared-id", host: "127.0.0.1", port: 3_000 });
    const lease = await registry.register(at("f5"), { ttlMs: 9_000, signal });
    await rejects(registry.register(at("f6"), { ttlMs: 9_000, signal }), "ID_CONFLICT", /live instance of f5 at/);
    await registry.deregister(lease, { signal });
    await registry.register(at("f6"), { ttlMs: 9_000, signal });
  });

  it("takes ids of any characters but the slashes it could not find again", async () => {
    const registry = keep(eureka({ url: url() }));
    for (const id of ["a b%;?#:@[é]+&", "..", "."]) {
      const instance = defineInstance({ service: "odd", id, host: "127.0.0.1", port: 3_000 });
      const lease = await registry.register(instance, { ttlMs: 9_000, signal });
      assert.deepEqual((await registry.renew([{ lease }], { signal })).unknown, []);
      await registry.deregister(lease, { signal });
      assert.equal((await registry.renew([{ lease }], { signal })).unknown.length, 1);
    }
    for (const id of ["a/b", "a\\b"]) {
      const instance = defineInstance({ service: "odd", id, host: "127.0.0.1", port: 3_000 });
      await rejects(registry.register(instance, { ttlMs: 9_000, signal }), "INVALID_OPTION", /id must be free of/);
    }
  });

  it("removes nobody for the late deregistration of an earlier life", async () => {
    const registry = keep(eureka({ url: url() }));
    const instance = defineInstance({ service: "lives", host: "127.0.0.1", port: 3_000 });
    const older = await registry.register(instance, { ttlMs: 9_000, signal });
    const newer = await registry.register(instance, { ttlMs: 9_000, signal });
    assert.deepEqual([older.replaced, newer.replaced], [false, true]);
    await registry.deregister(older, { signal });
    assert.deepEqual((await registry.renew([{ lease: newer }], { signal })).unknown, []);
  });

  it("answers a thousand beats in a row, though it closes each connection after a hundred", async () => {
    const registry = keep(eureka({ url: url() }));
    const instance = defineInstance({ service: "steady", host: "127.0.0.1", port: 3_000 });
    const lease = await registry.register(instance, { ttlMs: 9_000, signal });
    for (let round = 0; round < 63; round++) {
      assert.deepEqual((await registry.renew(Array(16).fill({ lease }), { signal })).unknown, []);
    }
  });

  it("is asked about one service once in an interval, however much changes", async () => {
    const proxy = keep(await startFaultProxy(server.url));
    const registry = keep(eureka({ url: `${proxy.url}/eureka`, pollMs: 500 }));
    const service = keep(createResolver({ registry })).service("polled");
    service.resume();
    const own = keep(eureka({ url: url() }));
    const instance = (weight: number) => defineInstance({ service: "polled", host: "127.0.0.1", port: 3_000, weight });
    const lease = await own.register(instance(1), { ttlMs: 60_000, signal });
    const began = systemClock.now();
    for (let weight = 2; weight <= 300; weight++) await own.update(lease, instance(weight), { signal });
    while (service.snapshot.instances[0]?.weight !== 300) await systemClock.sleep(10);
    const intervals = (systemClock.now() - began) / 450;
    assert.deepEqual([...new Set(proxy.requests)], ["GET /eureka/apps/POLLED", "GET /eureka/vips/none"]);
    assert.ok(proxy.requests.length <= intervals + 4, `${proxy.requests.length} requests in ${intervals} intervals`);
  });

  it("lists names of whatever case in lower case, and answers in any", async () => {
    await register("Mixed-Case", { instanceId: "m1" });
    const registry = keep(eureka({ url: url() }));
    assert.ok(
      (
        await until(
          () => registry.services?.({ signal }) ?? Promise.resolve([]),
          (names) => names.includes("mixed-case"),
        )
      ).length,
    );
    const update = await registry.list("mixed-case", { signal });
    assert.deepEqual(update.type === "reset" && update.instances.map(({ id, service }) => [id, service]), [
      ["m1", "mixed-case"],
    ]);
  });

  it("knows no one by the name of somebody, and says so as absent", async () => {
    assert.deepEqual(await keep(eureka({ url: url() })).list("nobody", { signal }), { type: "absent" });
  });

  it("says what is wrong with a path where there is no Eureka, rather than that nobody is known", async () => {
    const wrong = { url: `${server.url}/v2` };
    const advice = /http:\/\/127\.0\.0\.1:\d+ answered GET \/v2\/vips\/none with 404.*Spring's path is \/eureka/;
    await rejects(list(wrong), "PROTOCOL", advice);
    const instance = defineInstance({ service: "lost", host: "127.0.0.1", port: 3_000 });
    await rejects(keep(eureka(wrong)).register(instance, { ttlMs: 9_000, signal }), "PROTOCOL", advice);
  });

  it("says what is wrong with a port where nobody listens, and one that speaks something else", async () => {
    await rejects(
      list({ url: "http://127.0.0.1:1/eureka" }),
      "UNAVAILABLE",
      /GET \/eureka\/apps\/GUARDED.*is it running/,
    );
    await rejects(list({ url: url().replace("http:", "https:") }), "PROTOCOL", /speaks no TLS/);
    const mail = createServer((socket) => socket.on("error", () => {}).end("220 mail.internal ESMTP\r\n"));
    await new Promise<void>((resolve) => mail.listen(0, "127.0.0.1", resolve));
    const { port } = mail.address() as { port: number };
    await rejects(list({ url: `http://127.0.0.1:${port}/eureka` }), "PROTOCOL", /speaks no HTTP: is the port right/);
    mail.close();
  });
});

function url(scheme = "http:"): string {
  return `${server.url.replace("http:", scheme)}/eureka`;
}

function list(options: EurekaOptions) {
  return keep(eureka(options)).list("guarded", { signal });
}

async function until<T>(ask: () => Promise<T>, enough: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (enough(answer)) return answer;
    await systemClock.sleep(50);
  }
}

async function send(method: string, path: string, body?: unknown): Promise<void> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${url()}/${path}`, { method, headers, body: JSON.stringify(body) ?? null });
  assert.ok(answer.ok, `${answer.status} ${await answer.text()}`);
}

function register(app: string, fields: object): Promise<void> {
  const port = { $: 80, "@enabled": "true" };
  const common = { app, hostName: "127.0.0.1", ipAddr: "127.0.0.1", vipAddress: app, status: "UP", port };
  return send("POST", `apps/${app}`, { instance: { ...common, dataCenterInfo: DATA_CENTER, ...fields } });
}

/** What Eureka itself says of an instance, past its caches. */
async function record(id: string): Promise<Record<string, unknown> | undefined> {
  const headers = { accept: "application/json" };
  const answer = await fetch(`${url()}/instances/${encodeURIComponent(id)}`, { headers });
  if (!answer.ok) return undefined;
  return ((await answer.json()) as { instance: Record<string, unknown> }).instance;
}
