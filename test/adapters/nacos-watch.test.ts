import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { setTimeout as pass } from "node:timers/promises";
import { describe, it } from "vitest";
import { type NacosOptions, nacos } from "../../src/adapters/nacos.js";
import { DiscoveryError } from "../../src/model/errors.js";
import type { RegistryUpdate } from "../../src/model/update.js";
import { ManualClock } from "../../src/testing/index.js";
import { deadPort } from "../fakes/backend.js";
import { type FakeNacosOptions, startFakeNacos } from "../fakes/nacos.js";
import { startFakeNacosGrpc } from "../fakes/nacos-grpc.js";
import { opened } from "../opened.js";

const INTERVAL_MS = 3_000;
const ANN = { username: "ann", password: "s3cret" };

describe("nacos().watch(), pushed to", () => {
  it("is set up before it subscribes, and says which namespace and group it means", async () => {
    const { grpc } = await start({ options: { namespace: "blue", group: "shop", serviceName: () => "Orders" } });
    const types = [...new Set(grpc.asked.map(({ type }) => type))];
    assert.deepEqual(types.slice(0, 2), ["ServerCheckRequest", "ConnectionSetupRequest"]);
    assert.deepEqual(grpc.asked.find(({ type }) => type === "SubscribeServiceRequest")?.body, {
      namespace: "blue",
      groupName: "shop",
      serviceName: "Orders",
      clusters: "",
      subscribe: true,
    });
  });

  it("tells what is pushed, and acknowledges it", async () => {
    const { grpc, push, ports, until } = await startPushed();
    push([host(80), host(81)], "7");
    await until(() => ports() === "80 81");
    await until(() => grpc.asked.at(-1)?.body["requestId"] === "7");
    assert.equal(grpc.asked.at(-1)?.body["resultCode"], 200);
  });

  it("hears nothing of other groups and other services", async () => {
    const { grpc, push, ports, until } = await startPushed();
    grpc.send("NotifySubscriberRequest", { serviceInfo: { name: "orders", groupName: "shop", hosts: [host(1)] } });
    grpc.send("NotifySubscriberRequest", {
      serviceInfo: { name: "other", groupName: "DEFAULT_GROUP", hosts: [host(2)] },
    });
    push([host(80)]);
    await until(() => ports() === "80");
  });

  it("polls until something was pushed, and no more from then on", async () => {
    const { clock, push, lists, until } = await start();
    await until(() => lists() === 1);
    for (let polls = 2; polls < 5; polls++) {
      await until(() => {
        void clock.advance(20); // in small steps: answers come in real time, and what follows them is timed from then on
        return lists() === polls;
      });
    }
    push([]);
    await pass(50);
    const before = lists();
    await clock.advance(INTERVAL_MS * 0.55).then(() => pass(20));
    await clock.advance(INTERVAL_MS * 0.55).then(() => pass(50));
    assert.equal(lists(), before);
  });

  it("polls at once when the stream ends, and is told anew by another", async () => {
    const { grpc, clock, hosts, lists, ports, until } = await startPushed();
    const before = lists();
    hosts.push(host(90));
    grpc.cut();
    await until(() => lists() === before + 1 && ports() === "90");
    await clock.advance(500); // the longest first pause
    await until(() => grpc.setUps === 2);
  });

  it("polls at once when the connection no longer answers", async () => {
    const { grpc, clock, lists, until } = await startPushed();
    grpc.answer("HealthCheckRequest", undefined);
    const before = lists();
    await clock.advance(5_000);
    await until(() => grpc.asked.at(-1)?.type === "HealthCheckRequest");
    assert.equal(lists(), before);
    await clock.advance(3_000);
    await until(() => lists() === before + 1);
  });

  it("says that it lives while there is no news", async () => {
    const { clock, updates, until } = await startPushed();
    await clock.advance(5_000);
    await until(() => updates.at(-1)?.type === "current");
  });

  it("answers a detection, and moves when it is asked to", async () => {
    const { grpc, clock, until } = await startPushed();
    grpc.send("ClientDetectionRequest", { requestId: "8" });
    await until(() => grpc.asked.at(-1)?.type === "ClientDetectionResponse");
    assert.equal(grpc.asked.at(-1)?.body["requestId"], "8");
    grpc.send("ConnectResetRequest", { requestId: "9", serverIp: "10.0.0.9", serverPort: "8848" });
    await pass(50);
    await clock.advance(500);
    await until(() => grpc.setUps === 2);
  });

  it("polls at once after a push that nobody can read", async () => {
    const { grpc, lists, until } = await startPushed();
    const before = lists();
    grpc.sendBytes(Buffer.from("12ff", "hex"));
    await until(() => lists() === before + 1);
  });

  it("polls at once after a push without a list", async () => {
    const { grpc, lists, until } = await startPushed();
    const before = lists();
    grpc.send("NotifySubscriberRequest", { serviceInfo: { name: "orders", groupName: "DEFAULT_GROUP" } });
    await until(() => lists() === before + 1);
  });

  it("ends a connection that was silent about what a list shows", async () => {
    const { registry, clock, grpc, hosts, ports, until } = await startPushed();
    hosts.push(host(90)); // and nothing is pushed
    await registry.list("orders", { signal: new AbortController().signal });
    await clock.advance(2_000);
    await until(() => ports() === "90");
    await clock.advance(500);
    await until(() => grpc.setUps === 2);
  });

  it("keeps a connection that stands by what it pushed when a list says otherwise", async () => {
    const { registry, fake, clock, grpc, until } = await startPushed();
    fake.hosts.set("90", host(90)); // over HTTP alone
    await registry.list("orders", { signal: new AbortController().signal });
    await clock.advance(2_000);
    const asked = () => grpc.asked.filter(({ type }) => type === "SubscribeServiceRequest").length;
    await until(() => asked() === 2);
    await clock.advance(1_000);
    assert.equal(grpc.setUps, 1);
  });

  it("polls a service that it may not be told of, and asks for it again half a minute later", async () => {
    const { grpc, clock, lists, until } = await start({
      before: (each) => each.answer("SubscribeServiceRequest", { resultCode: 500, errorCode: 400, message: "no" }),
    });
    const asked = () => grpc.asked.filter(({ type }) => type === "SubscribeServiceRequest").length;
    await until(() => asked() === 1);
    for (let polls = 0; polls < 3; polls++) await clock.advance(INTERVAL_MS * 1.1).then(() => pass(20));
    assert.equal(asked(), 1);
    assert.ok(lists() >= 3);
    for (let polls = 0; polls < 10; polls++) await clock.advance(INTERVAL_MS * 1.1).then(() => pass(20));
    assert.equal(asked(), 2);
  });

  it("subscribes with the token of who is logged in, and with a new one if that is refused", async () => {
    const forbidden = { resultCode: 500, errorCode: 403, message: "token invalid!" };
    const { grpc, fake, until } = await start({
      fake: { api: "v1", user: ANN },
      options: ANN,
      before: (each) => each.answer("SubscribeServiceRequest", forbidden),
    });
    const asked = () => grpc.asked.filter(({ type }) => type === "SubscribeServiceRequest");
    await until(() => asked().length === 2);
    assert.ok(fake.asked.filter(({ kind }) => kind === "login").length >= 2);
    const tokens = asked().map(({ bytes }) => /token-\d/.exec(bytes.toString("latin1"))?.[0]);
    assert.notEqual(tokens[0], tokens[1]);
    assert.ok(tokens[1]);
  });

  it("signs its subscriptions with its key", async () => {
    const key = { accessKey: "LTAI1", secretKey: "s3cret" };
    const { grpc, until } = await start({ fake: { api: "v1", key }, options: key });
    const asked = () => grpc.asked.find(({ type }) => type === "SubscribeServiceRequest");
    await until(() => asked() !== undefined);
    const bytes = asked()?.bytes.toString("latin1") ?? "";
    const [data = ""] = /\d{13}@@DEFAULT_GROUP@@orders/.exec(bytes) ?? [];
    assert.ok(bytes.includes(createHmac("sha1", key.secretKey).update(data).digest("base64")));
    assert.match(bytes, /ak.{1,2}LTAI1/s);
  });

  it("asks to be told no more of a service that nobody watches, while others are watched", async () => {
    const { registry, grpc, until } = await startPushed();
    const halt = new AbortController();
    const other = registry.watch?.("other", { signal: halt.signal })[Symbol.asyncIterator]();
    await other?.next();
    const asked = () =>
      grpc.asked.filter(({ body }) => body["serviceName"] === "other").map(({ body }) => body["subscribe"]);
    await until(() => asked().length === 1);
    halt.abort();
    await until(() => asked().length === 2);
    assert.deepEqual(asked(), [true, false]);
  });

  it("ends no connection for a difference seen just before a watch was over", async () => {
    const { registry, grpc, hosts, clock, until } = await startPushed();
    const halt = new AbortController();
    const other = registry.watch?.("other", { signal: halt.signal })[Symbol.asyncIterator]();
    await other?.next();
    hosts.push(host(90));
    await registry.list("other", { signal: new AbortController().signal });
    halt.abort();
    const asked = () =>
      grpc.asked.filter(({ body }) => body["serviceName"] === "other").map(({ body }) => body["subscribe"]);
    await until(() => asked().length === 2);
    await clock.advance(2_000);
    await pass(50);
    assert.deepEqual(asked(), [true, false]);
    await clock.advance(500);
    await pass(50);
    assert.equal(grpc.setUps, 1);
  });

  it("asks to be told no more of a service that was left while it was asked for", async () => {
    const { registry, grpc, until } = await startPushed();
    const halt = new AbortController();
    void registry
      .watch?.("other", { signal: halt.signal })
      [Symbol.asyncIterator]()
      .next()
      .catch(() => {});
    const asked = () =>
      grpc.asked.filter(({ body }) => body["serviceName"] === "other").map(({ body }) => body["subscribe"]);
    halt.abort(new Error("over"));
    await until(() => asked().length === 2);
    assert.deepEqual(asked(), [true, false]);
  });

  it("opens another connection after one that ended in the moment it was set up", async () => {
    const { grpc } = await start({ before: (each) => each.cutAfter("HealthCheckRequest"), stepMs: 20 });
    assert.equal(grpc.setUps, 2);
  });

  it("says that it is pushed to until a first try has failed, then that it polls, and tells so once each", async () => {
    const turns: unknown[] = [];
    const heard = (turn: unknown): void => void turns.push(turn);
    subscribe("discovery:watch", heard);
    const fake = await startFakeNacos({ api: "v1" });
    const grpcPort = await deadPort();
    const clock = new ManualClock();
    const registry = nacos({ url: fake.url, grpcPort, clock });
    opened.push(fake, registry);
    assert.equal(registry.capabilities.watch, "stream"); // nobody knows better
    const halt = new AbortController();
    const reading = (async () => {
      for await (const _ of registry.watch?.("orders", { signal: halt.signal }) ?? []);
    })().catch(() => {});
    const says = async (watch: string): Promise<void> => {
      for (let tries = 0; registry.capabilities.watch !== watch; tries++) {
        assert.ok(tries < 500, `never: ${watch}`);
        await clock.advance(20);
        await pass(5);
      }
    };
    await says("poll");
    for (let tries = 0; tries < 50; tries++) await clock.advance(100).then(() => pass(2)); // others fail as well
    const grpc = await startFakeNacosGrpc(() => [], undefined, grpcPort);
    opened.push(grpc);
    await says("stream");
    halt.abort(new Error("over"));
    await reading;
    unsubscribe("discovery:watch", heard);
    const [{ error, ...lost }, back] = turns as [{ error: Error }, unknown];
    assert.match(error.message, /does not accept on its gRPC port 127\.0\.0\.1:\d+: is it open/);
    assert.deepEqual(
      [lost, back, turns.length],
      [{ registry: registry.name, watch: "poll" }, { registry: registry.name, watch: "stream", error: undefined }, 2],
    );
    assert.equal(registry.capabilities.watch, "stream"); // that nobody watches is no loss
  });

  it("says that it polls where a connection takes subscriptions and pushes nothing", async () => {
    const { registry, clock, push, until } = await start();
    assert.equal(registry.capabilities.watch, "stream");
    await clock.advance(2_000);
    assert.equal(registry.capabilities.watch, "poll");
    push([]);
    await until(() => registry.capabilities.watch === "stream");
  });

  it("leaves no timer behind", async () => {
    const { clock, stop, until } = await startPushed();
    await stop();
    await until(() => clock.pending === 0);
  });

  it("ends with the registry", async () => {
    const { registry, failure, until } = await startPushed();
    await registry.close();
    await until(() => DiscoveryError.is(failure(), "CLOSED"));
  });

  it("fails as a poll does when Nacos is away altogether", async () => {
    const { fake, grpc, failure, until } = await startPushed();
    await fake.close();
    grpc.close();
    await until(() => DiscoveryError.is(failure(), "UNAVAILABLE"));
  });
});

interface Given {
  readonly fake?: FakeNacosOptions;
  readonly options?: NacosOptions;
  readonly before?: (grpc: Awaited<ReturnType<typeof startFakeNacosGrpc>>) => void;
  /** What passes between two looks whether it is subscribed, in milliseconds. @default 1 */
  readonly stepMs?: number;
}

/** A watch of `orders`, over fakes of both ports. */
async function start({ fake: fakeOptions = { api: "v1" }, options = {}, before, stepMs = 1 }: Given = {}) {
  const fake = await startFakeNacos(fakeOptions);
  /** What is shown by both ports. */
  const hosts = {
    push(each: Record<string, unknown>): void {
      shown.push(each);
      fake.hosts.set(String(each["port"]), each);
    },
  };
  const shown: Record<string, unknown>[] = [];
  const grpc = await startFakeNacosGrpc(() => shown);
  before?.(grpc);
  const clock = new ManualClock();
  const registry = nacos({ url: fake.url, grpcPort: grpc.port, intervalMs: INTERVAL_MS, clock, ...options });
  const halt = new AbortController();
  const updates: RegistryUpdate[] = [];
  let failed: unknown;
  const reading = (async () => {
    for await (const update of registry.watch?.("orders", { signal: halt.signal }) ?? assert.fail())
      updates.push(update);
  })().catch((error: unknown) => {
    failed = error;
  });
  opened.push({ close: () => grpc.close() }, fake, registry);

  /** Real sockets need real time. */
  async function until(condition: () => unknown): Promise<void> {
    for (let tries = 0; !condition(); tries++) {
      assert.ok(tries < 500, `never: ${condition}`);
      await pass(5);
    }
  }

  const isSubscribed = () => grpc.asked.some(({ type }) => type === "SubscribeServiceRequest");
  await until(() => {
    void clock.advance(stepMs);
    return isSubscribed();
  }); // the set-up has pauses

  return {
    fake,
    grpc,
    clock,
    registry,
    hosts,
    updates,
    until,
    failure: () => failed,
    lists: () =>
      fake.asked.filter(({ kind, params }) => kind === "list" && params["serviceName"] !== "mcp-discovery").length,
    ports() {
      const latest = updates.findLast(({ type }) => type !== "current");
      return latest?.type === "reset" ? latest.instances.map(({ port }) => port).join(" ") : latest?.type;
    },
    push(these: readonly Record<string, unknown>[], requestId = "1") {
      grpc.send("NotifySubscriberRequest", {
        requestId,
        serviceInfo: { name: "orders", groupName: "DEFAULT_GROUP", hosts: these },
      });
    },
    async stop() {
      halt.abort(new Error("over"));
      await reading;
    },
  };
}

/** The same, as it is a second later: something was pushed. */
async function startPushed() {
  const started = await start();
  const { grpc, until, push } = started;
  push([]);
  await until(() => grpc.asked.some(({ type }) => type === "NotifySubscriberResponse"));
  await pass(20);
  return started;
}

function host(port: number): Record<string, unknown> {
  return { ip: "10.0.0.9", port, weight: 1, healthy: true, enabled: true, clusterName: "DEFAULT" };
}
