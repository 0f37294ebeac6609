import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { type NacosOptions, nacos } from "../../src/adapters/nacos.js";
import { DiscoveryError } from "../../src/model/errors.js";
import { defineInstance } from "../../src/model/instance.js";
import { ManualClock } from "../../src/testing/index.js";
import { type FakeNacosOptions, startFakeNacos } from "../fakes/nacos.js";
import { opened } from "../opened.js";
import { rejects } from "../rejects.js";

const { signal } = new AbortController();
const instance = defineInstance({ service: "orders", host: "10.0.0.1", port: 80 });
const ANN = { username: "ann", password: "s3cret" };
const KEY = { accessKey: "LTAI1", secretKey: "s3cret" };

for (const api of ["v1", "v3"] as const) {
  describe(`nacos(), over ${api}`, () => {
    it("registers, beats without a description, lists and leaves", async () => {
      const { registry, fake, kinds } = await start({ api });
      const lease = await register(registry);
      await registry.renew([{ lease }], { signal });
      const update = await registry.list("orders", { signal });
      assert.deepEqual(update.type === "reset" && update.instances.map(({ id, status }) => [id, status]), [
        ["orders@10.0.0.1:80", "healthy"],
      ]);
      await registry.deregister(lease, { signal });
      assert.deepEqual(kinds(), ["register", "beat", "list", "deregister"]);
      const beat = fake.asked.find(({ kind }) => kind === "beat");
      assert.ok(beat && !("beat" in beat.params) && !("metadata" in beat.params));
    });

    it("says in which namespace, group and cluster, and with what weight", async () => {
      const { registry, fake } = await start({ api }, { namespace: "blue", group: "shop", cluster: "C1" });
      const heavy = defineInstance({ service: "orders", host: "10.0.0.1", port: 80, weight: 2.5 });
      const lease = await registry.register(heavy, { ttlMs: 9_000, signal });
      await registry.renew([{ lease }], { signal });
      await registry.deregister(lease, { signal });
      const told = fake.asked.filter(({ kind }) => ["register", "beat", "deregister"].includes(kind));
      assert.equal(told.length, 3);
      for (const { params } of told) {
        assert.deepEqual(
          ["namespaceId", "groupName", "clusterName"].map((name) => params[name]),
          ["blue", "shop", "C1"],
        );
      }
      assert.equal(told[0]?.params["weight"], "2.5");
    });

    it("asks for its ttl by the three keys that Nacos preserves", async () => {
      const { registry, fake } = await start({ api });
      await registry.register(instance, { ttlMs: 18_000, signal });
      const { metadata } = fake.asked.find(({ kind }) => kind === "register")?.params ?? {};
      const told = JSON.parse(metadata ?? "") as Record<string, string>;
      assert.equal(told["preserved.heart.beat.interval"], "6000");
      assert.equal(told["preserved.heart.beat.timeout"], "18000");
      assert.equal(told["preserved.ip.delete.timeout"], "36000");
    });

    it("takes the code for an instance that nobody knows, inside a 200, for a lost lease", async () => {
      const { registry, fake } = await start({ api });
      const lease = await register(registry);
      fake.hosts.clear();
      const { unknown } = await registry.renew([{ lease }], { signal });
      assert.deepEqual(unknown, [{ lease, reason: "unknown" }]);
    });

    it("registers instead of beating after a beat that failed", async () => {
      const { registry, fake, kinds } = await start({ api });
      const lease = await register(registry);
      fake.answer("beat", 502, "bad gateway");
      await rejects(registry.renew([{ lease }], { signal }), "UNAVAILABLE", /502: bad gateway/);
      fake.hosts.clear();
      assert.deepEqual((await registry.renew([{ lease }], { signal })).unknown, []);
      assert.deepEqual(kinds(), ["register", "beat", "register"]);
    });

    it("does not beat for a lease that was silent for its ttl: it registers anew", async () => {
      const { registry, clock, kinds } = await start({ api });
      const lease = await register(registry);
      await clock.advance(9_000);
      assert.equal((await registry.renew([{ lease }], { signal })).unknown.length, 1);
      assert.deepEqual(kinds(), ["register"]);
    });

    it("brings nobody back by a beat that comes after the leave", async () => {
      const { registry, kinds } = await start({ api });
      const lease = await register(registry);
      await registry.deregister(lease, { signal });
      assert.equal((await registry.renew([{ lease, status: "draining" }], { signal })).unknown.length, 1);
      assert.deepEqual(kinds(), ["register", "deregister"]);
    });

    it("leaves a draining instance in the lists, without weight", async () => {
      const { registry, fake } = await start({ api });
      const lease = await register(registry);
      await registry.renew([{ lease, status: "draining" }], { signal });
      const [host] = [...fake.hosts.values()];
      assert.deepEqual([host?.["weight"], host?.["enabled"]], [0, true]);
      const update = await registry.list("orders", { signal });
      assert.deepEqual(update.type === "reset" && update.instances.map(({ status, weight }) => [status, weight]), [
        ["draining", 1],
      ]);
    });

    it("takes a 200 without ok for a refusal", async () => {
      const { registry, fake } = await start({ api });
      fake.answer("register", 200, "");
      await rejects(register(registry), "REJECTED", /with 200 but not with ok: an empty answer; nothing was done/);
    });

    it("removes no successor on its address when an earlier lease of this process ends", async () => {
      const { registry, fake } = await start({ api });
      const older = await register(registry);
      await register(registry);
      await registry.deregister(older, { signal });
      assert.equal(fake.hosts.size, 1);
    });

    it("reads the other 99 when one record of a hundred is broken", async () => {
      const { registry, fake } = await start({ api });
      for (let port = 1; port < 100; port++) fake.hosts.set(String(port), host({ port }));
      fake.hosts.set("broken", host({ port: 0 }));
      const update = await registry.list("orders", { signal });
      assert.deepEqual(update.type === "reset" && [update.instances.length, update.invalid], [99, 1]);
    });

    it("reads what others registered", async () => {
      const { registry, fake } = await start({ api });
      const metadata = { secure: "true", version: "2", "preserved.register.source": "SPRING_CLOUD" };
      fake.hosts.set("spring", host({ metadata, clusterName: "eu-1", weight: 2_000 }));
      const update = await registry.list("orders", { signal });
      const [foreign] = update.type === "reset" ? update.instances : [];
      assert.equal(foreign?.id, "10.0.0.9#80#eu-1#DEFAULT_GROUP@@orders");
      assert.deepEqual([foreign?.protocol, foreign?.version, foreign?.zone], ["https", "2", "eu-1"]);
      assert.equal(foreign?.weight, 1_000);
      assert.equal(foreign?.metadata["preserved.register.source"], "SPRING_CLOUD");
    });

    it("maps what it sees of them: unhealthy is failed, disabled is draining", async () => {
      const { registry, fake } = await start({ api });
      fake.hosts.set("1", host({ port: 1, healthy: false }));
      fake.hosts.set("2", host({ port: 2, enabled: false }));
      const update = await registry.list("orders", { signal });
      assert.deepEqual(update.type === "reset" && update.instances.map(({ status }) => status), ["failed", "draining"]);
    });

    it("lists the names of its own group, in lower case", async () => {
      const { registry } = await start({ api });
      assert.deepEqual(await registry.services?.({ signal }), ["orders"]);
    });

    it("says that a service without instances is absent, and leaves the doubt to the consumer", async () => {
      const { registry } = await start({ api });
      assert.deepEqual(await registry.list("orders", { signal }), { type: "absent" });
    });

    it("logs in, and once more when its token is refused", async () => {
      const { registry, fake, kinds } = await start({ api, user: ANN }, ANN);
      await register(registry);
      fake.revoke();
      await registry.list("orders", { signal });
      assert.deepEqual(
        kinds().filter((kind) => kind === "login"),
        ["login", "login"],
      );
    });

    it("renews its token before it ends, by one log-in however many ask", async () => {
      const { registry, clock, kinds } = await start({ api, user: { ...ANN, tokenTtl: 100 } }, ANN);
      await registry.list("orders", { signal });
      await clock.advance(80_000);
      await Promise.all([1, 2, 3].map(() => registry.list("orders", { signal })));
      assert.equal(kinds().filter((kind) => kind === "login").length, 2);
    });

    it("says whose password was wrong, and keeps it to itself", async () => {
      const { registry } = await start({ api, user: ANN }, { ...ANN, password: "wr0ng" });
      await rejects(
        register(registry),
        "UNAUTHORIZED",
        /Nacos http.*login with 403: unknown user!; may ann .*password right/,
      );
      await assert.rejects(register(registry), (error: Error) => !error.message.includes("wr0ng"));
    });

    it("signs every request with its key, and logs in nowhere", async () => {
      const { registry, kinds } = await start({ api, key: KEY }, KEY);
      const lease = await register(registry);
      assert.deepEqual((await registry.renew([{ lease }], { signal })).unknown, []);
      await registry.list("orders", { signal });
      await registry.services?.({ signal });
      await registry.deregister(lease, { signal });
      assert.deepEqual(kinds(), ["register", "beat", "list", "names", "deregister"]);
    });

    it("says whose secret key was wrong, and keeps it to itself", async () => {
      const { registry } = await start({ api, key: KEY }, { ...KEY, secretKey: "wr0ng" });
      await rejects(register(registry), "UNAUTHORIZED", /may access key LTAI1 read .*is the secret key right/);
      await assert.rejects(register(registry), (error: Error) => !error.message.includes("wr0ng"));
    });

    it("tells no signature in a message: for some minutes others could ask by it", async () => {
      const { fake, registry } = await start({ api, key: KEY }, KEY);
      const lease = await register(registry);
      await fake.close();
      const untold = /^Nacos \S+ did not answer [A-Z]+ (?!\S*(?:LTAI1|signature))\S+:/;
      await rejects(register(registry), "UNAVAILABLE", untold);
      await rejects(registry.renew([{ lease }], { signal }), "UNAVAILABLE", untold);
      await rejects(registry.list("orders", { signal }), "UNAVAILABLE", untold);
    });

    it("asks for a log-in where there is none", async () => {
      const { registry } = await start({ api, user: ANN });
      await rejects(register(registry), "UNAUTHORIZED", /give username and password/);
    });
  });
}

describe("nacos()", () => {
  it("beats as often as v1 answers", async () => {
    const { registry } = await start({ api: "v1" });
    const lease = await register(registry);
    assert.equal(lease.heartbeatMs, 3_000);
    assert.equal((await registry.renew([{ lease }], { signal })).heartbeatMs, 1_700);
  });

  it("finds the other API when the server was replaced by another version", async () => {
    const { registry, fake } = await start({ api: "v1" });
    await register(registry);
    fake.api = "v3";
    await registry.list("orders", { signal });
    fake.api = "v1";
    assert.equal((await registry.list("orders", { signal })).type, "reset");
    assert.deepEqual(
      fake.asked.map(({ path }) => path.split("/")[2]),
      ["v1", "v1", "v3", "v1", "v1"],
    );
  });

  it("speaks v1 where both are there: what v3 is told, the servers of a cluster keep from each other", async () => {
    const { registry, fake } = await start({ api: "both" });
    const lease = await register(registry);
    await registry.renew([{ lease }], { signal });
    await registry.list("orders", { signal });
    await registry.deregister(lease, { signal });
    assert.deepEqual([...new Set(fake.asked.map(({ path }) => path.split("/")[2]))], ["v1"]);
  });

  it("says that no Nacos is there, if neither is", async () => {
    const { registry, fake } = await start({ api: "v1" }, { contextPath: "/registry" });
    assert.ok(fake.url);
    await rejects(
      register(registry),
      "PROTOCOL",
      /POST \/registry\/v3\/client\/ns\/instance with 404.*is that the HTTP port/,
    );
  });

  it("calls a service as Nacos does, if it is told how", async () => {
    const { registry, fake } = await start({ api: "v3" }, { serviceName: (name) => `providers:${name}` });
    await register(registry);
    assert.equal(fake.asked.at(-1)?.params["serviceName"], "providers:orders");
  });

  for (const options of [
    { cluster: "a_b" },
    { contextPath: "nacos" },
    { password: "x" },
    { accessKey: "LTAI1" },
    { secretKey: "s3cret" },
    { ...KEY, ...ANN },
    { intervalMs: 1 },
    { namespaze: "a" } as NacosOptions,
  ]) {
    it(`refuses ${JSON.stringify(options)}`, () => {
      assert.throws(
        () => nacos(options),
        (error) => DiscoveryError.is(error, "INVALID_OPTION"),
      );
    });
  }
});

function host(fields: Record<string, unknown>): Record<string, unknown> {
  return { ip: "10.0.0.9", port: 80, weight: 1, healthy: true, enabled: true, clusterName: "DEFAULT", ...fields };
}

async function start(fakeOptions: FakeNacosOptions, options: NacosOptions = {}) {
  const fake = await startFakeNacos(fakeOptions);
  const clock = new ManualClock();
  const registry = nacos({ url: fake.url, clock, ...options });
  opened.push(fake, registry);
  /** What was asked for, without the question which version it is. */
  const kinds = () =>
    fake.asked.filter(({ params }) => params["serviceName"] !== "mcp-discovery").map(({ kind }) => kind);
  return { fake, clock, registry, kinds };
}

function register(registry: ReturnType<typeof nacos>) {
  return registry.register(instance, { ttlMs: 9_000, signal });
}
