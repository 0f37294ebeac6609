import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, it } from "vitest";
import { eureka } from "../../src/adapters/eureka.js";
import { createAgent, createResolver, defineInstance } from "../../src/index.js";
import { systemClock } from "../../src/runtime/clock.js";
import { haltSignal } from "../../src/runtime/deadline.js";
import { deadPort } from "../fakes/backend.js";
import { startFaultProxy } from "../fakes/fault-proxy.js";
import { keep, opened } from "../opened.js";
import { type RunningRegistry, startRegistry, whyMissing } from "../registries/start.js";

const missing = await whyMissing("spring-client.sh");
const { signal } = haltSignal();

describe.skipIf(missing)("two Eurekas that replicate", () => {
  let servers: RunningRegistry[];
  beforeAll(async () => {
    const [a, b] = [await deadPort(), await deadPort()];
    const start = (own: number, other: number) =>
      startRegistry("eureka.sh", ["--port", String(own), "--peer", `http://127.0.0.1:${other}/eureka/`]);
    servers = await Promise.all([start(a, b), start(b, a)]);
  });
  afterAll(() => Promise.all((servers ?? []).map((server) => server.stop())));

  it("are spoken to one at a time: the other comes when the first is gone, and is stayed with when it returns", async () => {
    const [a, b] = servers as [RunningRegistry, RunningRegistry];
    const proxies = [keep(await startFaultProxy(a.url)), keep(await startFaultProxy(b.url))] as const;
    const registry = keep(eureka({ urls: proxies.map((proxy) => `${proxy.url}/eureka`), pollMs: 200 }));
    const agent = keep(createAgent({ registry, service: "moved", host: "127.0.0.1", port: 3_000, ttlMs: 4_000 }));
    await agent.start();
    const service = keep(createResolver({ registry })).service("moved");
    service.resume();
    while (service.snapshot.instances.length === 0) await systemClock.sleep(50);
    assert.equal(proxies[1].requests.length, 0);
    const end = proxies[0].begin({ status: 503, text: "" });
    const before = proxies[0].requests.length;
    const beats = () => proxies[1].requests.filter((line) => /^PUT .*3000$/.test(line)).length;
    while (beats() < 2) await systemClock.sleep(50);
    end();
    const atReturn = proxies[0].requests.length;
    while (beats() < 4) await systemClock.sleep(50);
    assert.ok(atReturn - before <= 3, `${atReturn - before} requests to the one that was away`);
    assert.equal(proxies[0].requests.length, atReturn);
    assert.deepEqual([agent.state, service.snapshot.instances.length], ["registered", 1]);
  });

  it("may know nothing of a registration at the other: a beat there says so, and whoever registers again is known", async () => {
    const urls = servers.map(({ url }) => `${url}/eureka`);
    const first = keep(eureka({ urls }));
    const second = keep(eureka({ urls: [...urls].reverse() }));
    const instance = defineInstance({ service: "hasty", host: "127.0.0.1", port: 3_000 });
    const lease = await first.register(instance, { ttlMs: 9_000, signal });
    assert.equal((await second.renew([{ lease }], { signal })).unknown.length, 1);
    const again = await second.register(instance, { ttlMs: 9_000, signal });
    assert.deepEqual((await second.renew([{ lease: again }], { signal })).unknown, []);
  });
});

describe.skipIf(missing)("a Spring Cloud service beside ours", () => {
  let server: RunningRegistry;
  let spring: RunningRegistry;
  beforeAll(async () => {
    server = await startRegistry("eureka.sh");
    spring = await startRegistry("spring-client.sh", ["--name", "Billing", "--eureka", `${server.url}/eureka/`]);
  });
  afterAll(async () => {
    await spring?.stop();
    await server?.stop();
  });

  it("is found and called by a resolver, by its name in any case", async () => {
    const registry = keep(eureka({ url: `${server.url}/eureka`, pollMs: 200 }));
    const billing = keep(createResolver({ registry })).service("billing");
    billing.resume();
    while (billing.snapshot.instances[0]?.status !== "healthy") await systemClock.sleep(50);
    const [instance] = billing.snapshot.instances;
    assert.match(String(instance?.id), /:billing:\d+$/i);
    assert.deepEqual([instance?.host, instance?.port, instance?.protocol], ["127.0.0.1", spring.port, "http"]);
    assert.equal(instance?.metadata["management.port"], String(spring.port));
    assert.equal(await (await billing.fetch("/hello")).text(), "Billing");
  });

  it("finds and calls an agent through its own load balancer, with its metadata, until that drains", async () => {
    const hello = createServer((_, response) => response.end("hello from Node"));
    await new Promise<void>((resolve) => hello.listen(0, "127.0.0.1", resolve));
    opened.push({ close: () => new Promise((resolve) => hello.close(resolve)) });
    const { port } = hello.address() as AddressInfo;
    const registry = keep(eureka({ url: `${server.url}/eureka` }));
    const metadata = { team: "blue", "a/b": "not for XML" };
    const about = { service: "orders", host: "127.0.0.1", port, zone: "eu-1", weight: 3, metadata };
    const agent = keep(createAgent({ registry, ...about }));
    await agent.start();
    const [found] = await springSees("orders", (list) => list.length === 1);
    assert.deepEqual([found?.uri, found?.secure], [`http://127.0.0.1:${port}`, false]);
    assert.deepEqual(
      ["team", "zone", "weight"].map((key) => found?.metadata[key]),
      ["blue", "eu-1", "3"],
    );
    assert.equal(await (await fetch(`${spring.url}/call?name=orders`)).text(), "hello from Node");
    await agent.drain();
    await springSees("orders", (list) => list.length === 0);
  });

  it("speaks TLS to an agent that does, and can put an IPv6 address into a URL", async () => {
    const registry = keep(eureka({ url: `${server.url}/eureka` }));
    const instance = defineInstance({ service: "safe", host: "::1", port: 8_443, protocol: "https" });
    await registry.register(instance, { ttlMs: 60_000, signal });
    const [found] = await springSees("safe", (list) => list.length === 1);
    assert.deepEqual([found?.uri, found?.secure], ["https://[::1]:8443", true]);
  });

  it("does not lose its way through the XML that older clients read", async () => {
    const registry = keep(eureka({ url: `${server.url}/eureka` }));
    const metadata = { "1": "digit", "a/b": "slash", xmlns: "reserved", "-": "dash", fine: "<&>" };
    const instance = defineInstance({ service: "xml", host: "127.0.0.1", port: 3_000, metadata });
    await registry.register(instance, { ttlMs: 60_000, signal });
    const id = encodeURIComponent(instance.id);
    const answer = await fetch(`${server.url}/eureka/instances/${id}`, { headers: { accept: "application/xml" } });
    const xml = await answer.text();
    const names = [...xml.matchAll(/<([^\s/>]+)/g)].map(([, name = ""]) => name);
    assert.ok(names.includes("fine") && names.includes("mcp-metadata"));
    assert.deepEqual(
      names.filter((name) => !/^[A-Za-z_][\w.-]*$/.test(name)),
      [],
    );
  });

  interface Seen {
    readonly uri: string;
    readonly secure: boolean;
    readonly metadata: Readonly<Record<string, string>>;
  }

  async function springSees(name: string, enough: (list: readonly Seen[]) => boolean): Promise<readonly Seen[]> {
    for (;;) {
      const list = (await (await fetch(`${spring.url}/instances?name=${name}`)).json()) as readonly Seen[];
      if (enough(list)) return list;
      await systemClock.sleep(100);
    }
  }
});
