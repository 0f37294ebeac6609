import assert from "node:assert/strict";
import { afterAll, afterEach, beforeAll, describe, it } from "vitest";
import { type NacosOptions, nacos } from "../../src/adapters/nacos.js";
import { createAgent, createResolver, defineInstance } from "../../src/index.js";
import type { RegistryUpdate } from "../../src/model/update.js";
import { systemClock } from "../../src/runtime/clock.js";
import { TcpFaultProxy } from "../fakes/tcp-fault-proxy.js";
import { keep, opened } from "../opened.js";
import { nacosVersions } from "../registries/nacos.js";
import { type RunningRegistry, whyMissing } from "../registries/start.js";

const missing = await whyMissing("nacos.sh");
/** No poll comes so soon: what is heard of a change meanwhile was pushed. */
const NO_POLLS = { intervalMs: 600_000 };
/** Nacos merges changes for half a second; so much later at most, a busy machine included, they are told. */
const PUSH_MS = 5_000;

const { signal } = new AbortController();

for (const { name, instances, start } of nacosVersions()) {
  describe.skipIf(missing)(`what a real Nacos ${name} pushes`, () => {
    let server: RunningRegistry;
    let proxy: TcpFaultProxy;
    beforeAll(async () => {
      server = await start();
      proxy = await new TcpFaultProxy(server.port + 1_000).listen();
    });
    afterEach(() => {
      proxy.set({ kind: "none" });
    });
    afterAll(async () => {
      await proxy?.close();
      await server?.stop();
    });

    it("tells of who comes, drains and leaves, without a poll", async () => {
      const watch = await pushed("comes", NO_POLLS);
      const registry = open();
      const lease = await registry.register(instance("comes", 3_000), { ttlMs: 60_000, signal });
      await watch.until((update) => statuses(update) === "healthy");
      await registry.renew([{ lease, status: "draining" }], { signal });
      await watch.until((update) => statuses(update) === "draining");
      await registry.deregister(lease, { signal });
      await watch.until(({ type }) => type === "absent");
    });

    it("tells of an instance that falls silent, without a poll", async () => {
      const watch = await pushed("silent", NO_POLLS);
      await open().register(instance("silent", 3_000), { ttlMs: 1_000, signal });
      await watch.until((update) => statuses(update) === "healthy");
      await watch.until((update) => statuses(update) === "failed", 20_000);
    });

    it("tells of two services that Nacos calls the same, and goes on with one when the other is left", async () => {
      const registry = open({ ...NO_POLLS, serviceName: () => "Same" });
      const [one, other] = [follow(registry, "one"), follow(registry, "other")];
      await Promise.all([one.isPushed(), other.isPushed()]);
      await one.stop();
      await post({ serviceName: "Same", ip: "10.0.0.9", port: "80" });
      await other.until((update) => statuses(update) === "healthy");
    });

    it("polls at once and at the known rate while its port is a black hole, and is pushed to again afterwards", async () => {
      const watch = await pushed("hole", { intervalMs: 300, grpcPort: proxy.port });
      proxy.set({ kind: "blackhole" });
      await post({ serviceName: "hole", ip: "10.0.0.9", port: "80" });
      await watch.until((update) => statuses(update) === "healthy", 12_000); // noticed within 8 s
      await post({ serviceName: "hole", ip: "10.0.0.9", port: "81" });
      await watch.until((update) => statuses(update) === "healthy healthy", 3_000);
      const before = proxy.accepted;
      proxy.set({ kind: "none" });
      await until(() => proxy.accepted > before, 40_000);
      await until(() => watch.isLive(), 40_000);
    });

    it("polls where its port cannot be reached", async () => {
      const watch = follow(open({ intervalMs: 300, grpcPort: 1 }), "unreached");
      await post({ serviceName: "unreached", ip: "10.0.0.9", port: "80" });
      await watch.until((update) => statuses(update) === "healthy");
    });

    it("is survived when its bytes are damaged on the way", async () => {
      const watch = await pushed("damaged", { intervalMs: 300, grpcPort: proxy.port });
      proxy.set({ kind: "corrupt", every: 40 });
      await post({ serviceName: "damaged", ip: "10.0.0.9", port: "80" });
      await watch.until((update) => statuses(update) === "healthy");
    });

    it("may be restarted empty: its consumers keep serving, and are pushed to again", async () => {
      const agent = keep(createAgent({ registry: open(), ...at("restarted", 3_000), ttlMs: 6_000, drainMs: 0 }));
      await agent.start();
      const service = keep(createResolver({ registry: open() })).service("restarted");
      while (service.snapshot.instances.length !== 1) await service.ready().then(() => systemClock.sleep(50));
      process.kill(Number(server.info["pid"]?.[0]), "SIGKILL");
      await server.stop();
      server = await start(server.port);
      assert.equal(service.snapshot.instances.length, 1);
      const registry = open();
      await until(async () => (await registry.list("restarted", { signal })).type === "reset", 30_000);
      assert.equal(service.pickNow().instance.port, 3_000);
      const watch = follow(open(NO_POLLS), "restarted");
      await watch.isPushed();
      await registry.register(instance("restarted", 3_001), { ttlMs: 60_000, signal });
      await watch.until((update) => statuses(update) === "healthy healthy");
      await until(() => service.snapshot.instances.length === 2, 60_000);
    });

    if (name !== "2.3.2")
      it("is heard by who logs in, also after its token has ended", async () => {
        await server.stop();
        server = await start(server.port, [
          "--nacos.core.auth.enabled=true",
          "--nacos.core.auth.plugin.nacos.token.expire.seconds=8",
        ]);
        await fetch(`${server.url}/nacos/v3/auth/user/admin`, {
          method: "POST",
          body: new URLSearchParams({ password: "s3cret" }),
        });
        const registry = open({ ...NO_POLLS, username: "nacos", password: "s3cret", grpcPort: proxy.port });
        await until(
          () =>
            registry.list("guarded", { signal }).then(
              () => true,
              () => false,
            ),
          30_000,
        ); // takes some seconds
        const watch = follow(registry, "guarded");
        await watch.isPushed();
        await systemClock.sleep(10_000);
        proxy.set({ kind: "refuse" });
        proxy.set({ kind: "none" });
        await registry.register(instance("guarded", 3_000), { ttlMs: 60_000, signal });
        await watch.until((update) => statuses(update) === "healthy", 20_000);
        const stranger = follow(open({ intervalMs: 300, grpcPort: proxy.port }), "guarded");
        await assert.rejects(
          stranger.until(() => false),
          /give username and password/,
        );
      });

    function open(options: NacosOptions = {}) {
      return keep(nacos({ url: server.url, ...options }));
    }

    /** A watch of which is known that it is pushed to. */
    async function pushed(service: string, options: NacosOptions) {
      const watch = follow(open(options), service);
      await watch.isPushed();
      return watch;
    }

    async function post(form: Record<string, string>): Promise<void> {
      const body = new URLSearchParams(form);
      const answer = await fetch(`${server.url}/nacos${instances}`, { method: "POST", body });
      assert.equal(answer.status, 200, await answer.text());
    }
  });
}

/** Reads a watch in the background. */
function follow(registry: ReturnType<typeof nacos>, service: string) {
  const halt = new AbortController();
  let latest: RegistryUpdate | undefined;
  let isLive = false;
  let failure: unknown;
  const reading = (async () => {
    for await (const update of registry.watch?.(service, { signal: halt.signal }) ?? assert.fail()) {
      if (update.type !== "current") latest = update;
      else if (update.position === undefined) isLive = true; // the connection's own sign of life
    }
  })().catch((error: unknown) => {
    failure = error;
  });
  const stop = async (): Promise<void> => {
    halt.abort(new Error("over"));
    await reading;
  };
  opened.push({ close: stop });
  const holds = (condition: () => boolean, limitMs?: number) =>
    until(() => {
      if (failure) throw failure;
      return condition();
    }, limitMs);
  return {
    stop,
    isPushed: () => holds(() => isLive, 20_000),
    /** Whether there was a sign of life since that was asked last. */
    isLive() {
      const was = isLive;
      isLive = false;
      return was;
    },
    until: (wanted: (update: RegistryUpdate) => boolean, limitMs?: number) =>
      holds(() => latest !== undefined && wanted(latest), limitMs),
  };
}

async function until(condition: () => unknown, limitMs = PUSH_MS): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await condition())) {
    assert.ok(performance.now() < end, `not within ${limitMs} ms: ${condition}`);
    await systemClock.sleep(20);
  }
}

function statuses(update: RegistryUpdate): string {
  return update.type === "reset" ? update.instances.map(({ status }) => status).join(" ") : update.type;
}

function at(service: string, port: number) {
  return { service, host: "127.0.0.1", port };
}

function instance(service: string, port: number) {
  return defineInstance(at(service, port));
}
