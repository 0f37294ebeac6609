import assert from "node:assert/strict";
import { afterAll, beforeAll, describe, it } from "vitest";
import { nacos } from "../../src/adapters/nacos.js";
import { createAgent, createResolver, defineInstance } from "../../src/index.js";
import { systemClock } from "../../src/runtime/clock.js";
import { within } from "../../src/runtime/deadline.js";
import { type TcpFault, TcpFaultProxy } from "../fakes/tcp-fault-proxy.js";
import { keep } from "../opened.js";
import { nacosVersions } from "../registries/nacos.js";
import { type RunningRegistry, whyMissing } from "../registries/start.js";

const missing = await whyMissing("nacos.sh");
const TTL_MS = 6_000;
/** What a server that is gone may cost whoever asks, in milliseconds. */
const COST_MS = 2_000;
/** No poll comes so soon: what is heard of a change meanwhile was pushed. */
const NO_POLLS = { intervalMs: 600_000 };

const { signal } = new AbortController();

for (const { name, start } of nacosVersions()) {
  // two doors to one server: servers that share their memory, as those of a cluster do
  describe.skipIf(missing)(`two addresses of a real Nacos ${name}`, () => {
    let server: RunningRegistry;
    beforeAll(async () => {
      server = await start();
    });
    afterAll(() => server?.stop());

    for (const fault of [{ kind: "refuse" }, { kind: "blackhole" }] as const satisfies readonly TcpFault[]) {
      const service = `moved-${fault.kind}`;
      it(`may lose one (${fault.kind}): lists come from the other at once, no lease is lost, and nobody is missed`, async () => {
        const doors = [await door(), await door()] as const;
        const registry = keep(nacos({ url: doors.map(({ url }) => url) }));
        const agent = keep(
          createAgent({ registry, service, host: "127.0.0.1", port: 3_000, ttlMs: TTL_MS, drainMs: 0 }),
        );
        let losses = 0;
        agent.on("lost", () => losses++);
        await agent.start();
        const urls = `nacos://${doors.map(({ url }) => new URL(url).host).join(",")}`;
        const resolver = keep(createResolver({ registry: urls })).service(service);
        while (resolver.snapshot.instances.length !== 1) await resolver.ready().then(() => systemClock.sleep(50));
        assert.equal(doors[1].http.accepted, 0);
        doors[0].set(fault);
        const list = (signal: AbortSignal) => registry.list(service, { signal });
        const update = await within("list", COST_MS, { clock: systemClock, signal }, list);
        assert.equal(update.type, "reset");
        for (const until = systemClock.now() + 2 * TTL_MS; systemClock.now() < until; await systemClock.sleep(10)) {
          resolver.pickNow().release();
        }
        const [seen] = await instances(registry, service);
        assert.deepEqual([agent.state, losses, seen?.status], ["registered", 0, "healthy"]);
      });
    }

    it("push from either: whoever loses one is told by the other, without a poll", async () => {
      const doors = [await door(), await door()] as const;
      const registry = keep(nacos({ url: doors.map(({ url }) => url), ...NO_POLLS }));
      const ports = new Set<number>();
      const halt = new AbortController();
      const reading = (async () => {
        for await (const update of registry.watch?.("pushed", { signal: halt.signal }) ?? assert.fail())
          if (update.type === "reset") for (const { port } of update.instances) ports.add(port);
      })();
      const drawn = () => doors.findIndex(({ grpc }) => grpc.accepted > 0);
      while (drawn() < 0) await systemClock.sleep(20);
      const [at, next] = drawn() === 0 ? doors : [doors[1], doors[0]];
      await tell(registry, ports, 3_001);
      const before = next.grpc.accepted;
      at.set({ kind: "refuse" });
      const watch = (): string => registry.capabilities.watch;
      while (watch() !== "poll") await systemClock.sleep(5);
      while (watch() !== "stream") await systemClock.sleep(20);
      assert.ok(next.grpc.accepted > before);
      await tell(registry, ports, 3_002);
      halt.abort(new Error("over"));
      await reading.catch(() => {});
    });

    /** Registers somebody, and waits until that was told. */
    async function tell(registry: ReturnType<typeof nacos>, told: ReadonlySet<number>, port: number): Promise<void> {
      const instance = defineInstance({ service: "pushed", host: "127.0.0.1", port });
      await registry.register(instance, { ttlMs: 60_000, signal });
      while (!told.has(port)) await systemClock.sleep(20);
    }

    /** Both ports of an address, a thousand apart. */
    async function door() {
      for (;;) {
        const http = keep(await new TcpFaultProxy(server.port).listen());
        const grpc = new TcpFaultProxy(server.port + 1_000);
        const isFree = await grpc.listen(http.port + 1_000).catch(() => undefined); // somebody may have that port
        if (!isFree) continue;
        keep(grpc);
        const set = (fault: TcpFault): void => [http, grpc].forEach((each) => void each.set(fault));
        return { url: http.url, http, grpc, set };
      }
    }
  });
}

async function instances(registry: ReturnType<typeof nacos>, service: string) {
  const update = await registry.list(service, { signal });
  return update.type === "reset" ? update.instances : [];
}
