import assert from "node:assert/strict";
import { afterAll, beforeAll, describe, it } from "vitest";
import { type NacosOptions, nacos } from "../../src/adapters/nacos.js";
import { createAgent, DiscoveryError, defineInstance } from "../../src/index.js";
import { systemClock } from "../../src/runtime/clock.js";
import { keep } from "../opened.js";
import { nacosVersions } from "../registries/nacos.js";
import { type RunningRegistry, whyMissing } from "../registries/start.js";
import { leavesInGoodOrder, servesThroughRestart } from "../registries/stories.js";
import { rejects } from "../rejects.js";

const missing = await whyMissing("nacos.sh");
/** Lists are so far behind at most, in milliseconds. */
const LAG_MS = 800;

const { signal } = new AbortController();

for (const { name, instances: path, start } of nacosVersions()) {
  describe.skipIf(missing)(`a real Nacos ${name}`, () => {
    let server: RunningRegistry;
    beforeAll(async () => {
      server = await start();
    });
    afterAll(() => server?.stop());

    it("may be restarted empty: agents are back, and a resolver serves without a break", async () => {
      const restart = async (): Promise<void> => {
        await server.stop();
        server = await start(server.port);
      };
      await servesThroughRestart(url(), { ttlMs: 6_000, restart });
    });

    it("keeps several instances of one service that live in one process", async () => {
      const agents = [3_001, 3_002].map((port) => keep(createAgent({ ...about("twins", port), ttlMs: 6_000 })));
      await Promise.all(agents.map((agent) => agent.start()));
      const registry = keep(nacos({ url: server.url }));
      await systemClock.sleep(12_000); // twice the ttl
      assert.deepEqual(
        (await instances(registry, "twins")).map(({ port, status }) => [port, status]),
        [
          [3_001, "healthy"],
          [3_002, "healthy"],
        ],
      );
    });

    it("tells of a service whose last instance left in good order without a time of doubt", () =>
      leavesInGoodOrder(keep(nacos({ url: server.url, intervalMs: 200 }))));

    it("keeps namespaces and groups apart", async () => {
      const instance = defineInstance({ service: "apart", host: "127.0.0.1", port: 3_000 });
      const options = { url: server.url, namespace: "blue", group: "shop", cluster: "C1" };
      await keep(nacos(options)).register(instance, { ttlMs: 9_000, signal });
      await systemClock.sleep(LAG_MS);
      const seen = async (others: NacosOptions) =>
        (await instances(keep(nacos({ ...options, ...others })), "apart")).length;
      assert.deepEqual(
        [await seen({}), await seen({ namespace: "green" }), await seen({ group: "DEFAULT_GROUP" })],
        [1, 0, 0],
      );
    });

    it("reads instances that other clients registered, and shows none that an operator disabled", async () => {
      const form = { serviceName: "Foreign", ip: "10.0.0.9", weight: "0.5", metadata: '{"secure":"true"}' };
      await post(path, { ...form, port: "80" });
      await post(path, { ...form, port: "81", enabled: "false" });
      await systemClock.sleep(LAG_MS);
      const registry = keep(nacos({ url: server.url, serviceName: () => "Foreign" }));
      assert.deepEqual(
        (await instances(registry, "foreign")).map(({ id, protocol, weight }) => [id, protocol, weight]),
        [["10.0.0.9#80#DEFAULT#DEFAULT_GROUP@@Foreign", "https", 0.5]],
      );
    });

    it("registers what other clients can read, and passes over while it drains", async () => {
      const registry = keep(nacos({ url: server.url }));
      const fields = { service: "readable", host: "127.0.0.1", port: 3_000, weight: 2, metadata: { team: "red" } };
      const lease = await registry.register(defineInstance(fields), { ttlMs: 9_000, signal });
      assert.deepEqual(await bare("readable"), { weight: 2, enabled: true, team: "red" });
      await registry.renew([{ lease, status: "draining" }], { signal });
      assert.deepEqual(await bare("readable"), { weight: 0, enabled: true, team: "red" });
    });

    it("says what a registration was refused for", async () => {
      const registry = keep(nacos({ url: server.url, group: "a@b" }));
      const instance = defineInstance({ service: "refused", host: "127.0.0.1", port: 3_000 });
      await rejects(registry.register(instance, { ttlMs: 9_000, signal }), "REJECTED", /with 400: .*group.*illegal/i);
    });

    it("says what is wrong with a port where nobody listens, and with one that speaks something else", async () => {
      const grpc = server.info["grpc"]?.[0] ?? "";
      await rejects(list({ url: "http://127.0.0.1:1" }), "UNAVAILABLE", /Nacos http:.*127\.0\.0\.1:1.*is it running/);
      await rejects(list({ url: server.url.replace("http:", "https:") }), "PROTOCOL", /speaks no TLS/);
      await rejects(list({ url: server.url, contextPath: "" }), "PROTOCOL", /is its context path right/);
      await assert.rejects(list({ url: `http://${grpc}` }), (error) => DiscoveryError.is(error));
    });

    if (name !== "2.3.2")
      it("takes who logs in, and refuses everybody else", async () => {
        await server.stop();
        server = await start(server.port, ["--nacos.core.auth.enabled=true"]);
        await post("/v3/auth/user/admin", { password: "s3cret" });
        const account = { url: server.url, username: "nacos", password: "s3cret" };
        const registry = keep(nacos(account));
        const agent = keep(createAgent({ ...about("guarded", 3_000), registry }));
        while (!(await registry.list("guarded", { signal }).catch(() => false))) await systemClock.sleep(200); // takes some seconds
        await agent.start();
        await systemClock.sleep(LAG_MS);
        assert.equal((await instances(registry, "guarded")).length, 1);
        const wrong = /may nacos read.*is the password right|a wrong password: is that of nacos right/; // 3.0 answers 500
        await assert.rejects(list({ ...account, password: "wr0ng" }), wrong);
        await rejects(list({ url: server.url }), "UNAUTHORIZED", /give username and password/);
      });

    function url(): string {
      return server.url.replace("http:", "nacos:");
    }

    function about(service: string, port: number) {
      return { registry: url(), service, host: "127.0.0.1", port, drainMs: 100 };
    }

    async function post(path: string, form: Record<string, string>): Promise<void> {
      const answer = await fetch(`${server.url}/nacos${path}`, { method: "POST", body: new URLSearchParams(form) });
      assert.equal(answer.status, 200, await answer.text());
    }

    /** What a client of Nacos' own is told. */
    async function bare(service: string): Promise<unknown> {
      await systemClock.sleep(LAG_MS);
      const answer = await fetch(`${server.url}/nacos${path}/list?serviceName=${service}`);
      const { hosts, data } = (await answer.json()) as Record<"hosts" | "data", Bare[] | undefined>;
      const [{ weight, enabled, metadata } = assert.fail()] = hosts ?? data ?? [];
      return { weight, enabled, team: metadata.team };
    }

    function list(options: NacosOptions) {
      return keep(nacos(options)).list("guarded", { signal });
    }
  });
}

interface Bare {
  readonly weight: number;
  readonly enabled: boolean;
  readonly metadata: { readonly team: string };
}

async function instances(registry: ReturnType<typeof nacos>, service: string) {
  const update = await registry.list(service, { signal });
  return update.type === "reset" ? update.instances : [];
}
