import assert from "node:assert/strict";
import { setTimeout as pass } from "node:timers/promises";
import { describe, it } from "vitest";
import { type NacosOptions, nacos } from "../../src/adapters/nacos.js";
import { settingsOf } from "../../src/adapters/nacos-options.js";
import { DiscoveryError } from "../../src/model/errors.js";
import { defineInstance } from "../../src/model/instance.js";
import { ManualClock } from "../../src/testing/index.js";
import { type FakeNacosOptions, startFakeNacos } from "../fakes/nacos.js";
import { startFakeNacosGrpc } from "../fakes/nacos-grpc.js";
import { keep } from "../opened.js";
import { rejects } from "../rejects.js";

const { signal } = new AbortController();
const ANN = { username: "ann", password: "s3cret" };

for (const api of ["v1", "v3"] as const) {
  describe(`several servers of one Nacos, over ${api}`, () => {
    it("are stayed with one at a time, whatever that answers", async () => {
      const { registry, servers, kinds } = await start({ api });
      const lease = await register(registry);
      servers[0].answer("list", 400, "no");
      await rejects(registry.list("orders", { signal }), "REJECTED", /with 400: no/);
      await registry.renew([{ lease }], { signal });
      assert.deepEqual(kinds(), [["register", "list", "beat"], []]);
    });

    it("take over from each other within one question, and keep who came", async () => {
      const { registry, servers, kinds } = await start({ api });
      await register(registry);
      await servers[0].close();
      for (let times = 0; times < 2; times++) assert.equal((await registry.list("orders", { signal })).type, "reset");
      assert.deepEqual(kinds(), [["register"], ["list", "list"]]);
    });

    it("are left after a second of silence", async () => {
      const { registry, servers, clock, kinds } = await start({ api });
      const lease = await register(registry);
      servers[0].silence();
      const renewal = registry.renew([{ lease }], { signal });
      while (kinds()[0]?.length !== 2) await clock.advance(0);
      await clock.advance(999);
      assert.deepEqual(kinds()[1], []);
      await clock.advance(1);
      assert.deepEqual((await renewal).unknown, []);
    });

    it("are left while they say that they cannot serve", async () => {
      const { registry, servers, kinds } = await start({ api });
      await register(registry);
      servers[0].answer("list", 503, "server is DOWN now, please try again later!");
      assert.equal((await registry.list("orders", { signal })).type, "reset");
      assert.deepEqual(kinds()[1], ["list"]);
    });

    it("are each asked once where none can serve, and the last one's reason is told", async () => {
      const { registry, servers, kinds } = await start({ api });
      for (const each of servers) each.answer("register", 500, "out of memory");
      await rejects(register(registry), "UNAVAILABLE", new RegExp(`${servers[1].url} .*out of memory`));
      assert.deepEqual(kinds(), [["register"], ["register"]]);
    });

    it("are not left over a request that none of them can take, however often it is repeated", async () => {
      const { registry, servers, kinds } = await start({ api });
      const lease = await register(registry);
      for (let times = 0; times < 3; times++) {
        for (const each of servers) each.answer("list", 500, "caused: broken record");
        await rejects(registry.list("orders", { signal }), "UNAVAILABLE", /broken record/);
        await registry.renew([{ lease }], { signal });
      }
      assert.deepEqual(kinds(), [
        ["register", "list", "beat", "list", "beat", "list", "beat"],
        ["list", "list", "list"],
      ]);
    });

    it("hear of a lease by a whole registration first when another one was left", async () => {
      const { registry, servers, kinds } = await start({ api });
      const [first, second] = [await register(registry), await register(registry, 81)];
      await servers[0].close();
      assert.deepEqual((await registry.renew([{ lease: first }], { signal })).unknown, []);
      assert.deepEqual(kinds()[1], ["beat", "register"]); // on its way it was a beat still
      assert.deepEqual((await registry.renew([{ lease: second }], { signal })).unknown, []);
      assert.deepEqual((await registry.renew([{ lease: first }, { lease: second }], { signal })).unknown, []);
      assert.deepEqual(kinds()[1], ["beat", "register", "register", "beat", "beat"]);
    });

    it("may know nothing of a lease yet: then it is unknown, and whoever registers again is known", async () => {
      const { registry, servers } = await start({ api, apart: true });
      const lease = await register(registry);
      await servers[0].close();
      assert.equal((await registry.renew([{ lease }], { signal })).unknown.length, 1);
      const again = await register(registry);
      assert.deepEqual((await registry.renew([{ lease: again }], { signal })).unknown, []);
    });

    it("are all shown the token of one, and asked for another where that is refused", async () => {
      const { registry, servers, kinds } = await start({ api, user: ANN }, ANN);
      servers[1].revoke(); // as if it had another secret
      servers[1].revoke();
      await register(registry);
      await servers[0].close();
      assert.equal((await registry.list("orders", { signal })).type, "reset");
      assert.deepEqual(kinds(), [
        ["login", "register"],
        ["list", "login", "list"],
      ]);
      assert.equal(servers[1].asked[0]?.token, "token-1");
    });

    it("take each other's log-ins", async () => {
      const { registry, servers, kinds } = await start({ api, user: ANN }, ANN);
      servers[0].answer("login", 503, "server is STARTING now, please try again later!");
      await register(registry);
      assert.deepEqual(kinds(), [["login"], ["login", "register"]]);
    });
  });
}

describe("several servers of one Nacos", () => {
  it("may be of different versions, as while they are replaced one by one", async () => {
    for (const [older, newer] of [
      ["v1", "v3"],
      ["v3", "v1"],
    ] as const) {
      const { registry, servers } = await start({ api: older });
      servers[1].api = newer;
      const lease = await register(registry);
      await servers[0].close();
      assert.deepEqual((await registry.renew([{ lease }], { signal })).unknown, []);
      assert.equal((await registry.list("orders", { signal })).type, "reset");
    }
  });

  it("are all named by the registry's name", async () => {
    const { registry, servers } = await start({ api: "v1" }, { namespace: "blue" });
    assert.equal(registry.name, `Nacos ${servers[0].url},${servers[1].url}, namespace blue`);
  });

  it("push from whichever was drawn, and when that is gone from the next", async () => {
    const servers = [await startBoth(), await startBoth()] as const;
    const clock = new ManualClock();
    const registry = keep(nacos({ url: servers.map(({ http }) => http.url), clock }));
    const halt = new AbortController();
    const reading = (async () => {
      for await (const _ of registry.watch?.("orders", { signal: halt.signal }) ?? assert.fail());
    })().catch(() => {});
    const subscribed = (): number[] =>
      servers.map(({ grpc }) => grpc.asked.filter(({ type }) => type === "SubscribeServiceRequest").length);
    const until = async (condition: () => boolean): Promise<void> => {
      for (let tries = 0; !condition(); tries++) {
        assert.ok(tries < 500, `never: ${condition}`);
        await clock.advance(20);
        await pass(5); // real sockets need real time
      }
    };
    await until(() => subscribed().includes(1));
    const drawn = subscribed().indexOf(1);
    assert.equal(subscribed()[1 - drawn], 0);
    servers[drawn]?.grpc.close();
    await until(() => subscribed()[1 - drawn] === 1);
    halt.abort(new Error("over"));
    await reading;
  });

  it("push at their own port and 1,000, or all at the one that is given", () => {
    const url = ["http://a:8848", "https://b:443", "http://c"];
    const told = (options: NacosOptions) =>
      settingsOf({ url, ...options }).grpc.map(({ host, port }) => `${host}:${port}`);
    assert.deepEqual(told({}), ["a:9848", "b:1443", "c:1080"]);
    assert.deepEqual(told({ grpcPort: 7 }), ["a:7", "b:7", "c:7"]);
    assert.deepEqual(told({ push: false }), []);
    assert.deepEqual(
      settingsOf({ url }).grpc.map(({ tls }) => tls),
      [false, true, false],
    );
  });

  for (const url of [[], "ftp://u:secret@h", ["http://a", "http://u:secret@h:notaport"], ["http://a", 7], "h:8848"]) {
    it(`are refused as ${JSON.stringify(url).replaceAll("secret", "…")}`, () => {
      assert.throws(
        () => nacos({ url: url as string }),
        (error) =>
          DiscoveryError.is(error, "INVALID_OPTION") &&
          /nacos\.url/.test(error.message) &&
          !/secret/.test(error.message),
      );
    });
  }
});

interface Given extends FakeNacosOptions {
  /** Whether they share nothing. */
  readonly apart?: boolean;
}

async function start({ apart = false, ...about }: Given, options: NacosOptions = {}) {
  const first = keep(await startFakeNacos(about));
  const second = keep(await startFakeNacos(apart ? about : { ...about, hosts: first.hosts }));
  const servers = [first, second] as const;
  const clock = new ManualClock();
  const registry = keep(nacos({ url: servers.map(({ url }) => url), push: false, clock, ...options }));
  /** What each was asked for, without the question which version it is. */
  const kinds = () =>
    servers.map(({ asked }) =>
      asked.filter(({ params }) => params["serviceName"] !== "mcp-discovery").map(({ kind }) => kind),
    );
  return { servers, clock, registry, kinds };
}

/** Both ports of a server, a thousand apart. */
async function startBoth() {
  for (;;) {
    const http = keep(await startFakeNacos({ api: "v1" }));
    const port = Number(new URL(http.url).port) + 1_000;
    const grpc = await startFakeNacosGrpc(() => [], undefined, port).catch(() => undefined); // somebody has that port
    if (grpc) return { http, grpc: keep(grpc) };
  }
}

function register(registry: ReturnType<typeof nacos>, port = 80) {
  const instance = defineInstance({ service: "orders", host: "10.0.0.1", port });
  return registry.register(instance, { ttlMs: 9_000, signal });
}
