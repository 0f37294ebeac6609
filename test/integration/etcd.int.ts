import assert from "node:assert/strict";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, describe, it } from "vitest";
import { type EtcdOptions, etcd } from "../../src/adapters/etcd.js";
import {
  createAgent,
  createResolver,
  DiscoveryError,
  defineInstance,
  type ErrorCode,
  type RegistryUpdate,
} from "../../src/index.js";
import { systemClock } from "../../src/runtime/clock.js";
import { haltSignal } from "../../src/runtime/deadline.js";
import { ManualClock } from "../../src/testing/index.js";
import { type FaultProxy, startFaultProxy } from "../fakes/fault-proxy.js";
import { type RunningRegistry, startRegistry, whyMissing } from "../registries/start.js";
import { leavesInGoodOrder, picking, servesThroughRestart } from "../registries/stories.js";

const missing = await whyMissing("etcd.sh");
const PASSWORD = "correct horse";
const { signal } = new AbortController();

let server: RunningRegistry;
let data: string;
const opened: { close(): Promise<unknown> }[] = [];

describe.skipIf(missing)("a real etcd", () => {
  beforeAll(async () => {
    server = await startRegistry("etcd.sh");
    return () => server.stop();
  });
  afterEach(clearUp);

  it("may be restarted empty: agents are back, and a resolver serves without a break", async () => {
    const restart = async (): Promise<void> => {
      await server.stop();
      server = await startRegistry("etcd.sh", ["--port", String(server.port)]);
    };
    await servesThroughRestart(server.url.replace("http:", "etcd:"), { ttlMs: 3_000, restart });
  });

  it("tells of a service whose last instance left in good order without a time of doubt", () =>
    leavesInGoodOrder(server.url.replace("http:", "etcd:")));

  it("reads anew, and does not resume, when a watch finds another store where the old one was", async () => {
    const proxy = keep(await startFaultProxy(server.url));
    const { registry, updates } = await watchedThrough(proxy, "swapped");
    const other = await startRegistry("etcd.sh");
    opened.push({ close: () => other.stop() });
    proxy.target = other.url; // its revisions are lower: a watch that resumed there would be told nothing
    proxy.cut();
    await updates.until(({ type }) => type === "absent");
    await registry.register(instance("swapped", 2), { ttlMs: 9_000, signal });
    const update = await updates.until(({ type }) => type === "reset" || type === "change");
    const instances = update.type === "reset" ? update.instances : update.type === "change" ? update.upserted : [];
    assert.deepEqual(
      instances.map(({ port }) => port),
      [2],
    );
  });

  it("names the services of those who come together once, and again in a store that began anew", async () => {
    const registry = keep(etcd({ endpoints: server.url }));
    const together = (...ports: readonly number[]) =>
      Promise.all(
        ports.map((port) => registry.register(instance("named", port), { ttlMs: 9_000, alone: true, signal })),
      );
    await together(1, 2, 3);
    await together(7, 8, 9); // the first made the store's epoch
    const { header: before } = await post("kv/range", { key: "AA==" });
    await together(4, 5, 6);
    const key = Buffer.from("/mcp-discovery/names/named").toString("base64");
    const { kvs } = await post("kv/range", { key });
    assert.ok(Number(kvs[0].mod_revision) <= Number(before.revision));
    await server.stop();
    server = await startRegistry("etcd.sh", ["--port", String(server.port)]);
    await together(1, 2, 3);
    assert.ok((await registry.services?.({ signal }))?.includes("named"));
    const update = await registry.list("named", { signal });
    assert.equal(update.type === "reset" && update.instances.length, 3);
  });

  it("ends all registrations of a process with one lease, and each as expired", async () => {
    const registry = keep(etcd({ endpoints: server.url }));
    const leases = [];
    for (const port of [1, 2, 3])
      leases.push(await registry.register(instance("ended", port), { ttlMs: 3_000, signal }));
    const names = new Set(leases.map(({ id }) => id.split("/")[1]));
    assert.equal(names.size, 1);
    const updates = watch(registry, "ended");
    await updates.until((update) => update.type === "reset");
    await post("lease/revoke", { ID: [...names][0] });
    const last = await updates.until((update) => update.type === "change");
    assert.deepEqual(last.type === "change" && last.removed.map(({ reason }) => reason), Array(3).fill("expired"));
    const { unknown } = await registry.renew(
      leases.map((lease) => ({ lease })),
      { signal },
    );
    assert.equal(unknown.length, 3);
    await registry.register(instance("ended", 1), { ttlMs: 3_000, signal }); // on a lease that lives
  });

  it("registers on a lease that lives when the one it had was lost long ago", async () => {
    const clock = new ManualClock();
    const registry = keep(etcd({ endpoints: server.url, clock }));
    const lost = await registry.register(instance("lost", 1), { ttlMs: 3_000, signal });
    await post("lease/revoke", { ID: lost.id.split("/")[1] });
    await clock.advance(2_000); // now it asks whether the lease lives before somebody joins it
    const lease = await registry.register(instance("lost", 1), { ttlMs: 3_000, signal });
    assert.deepEqual((await registry.renew([{ lease }], { signal })).unknown, []);
  });

  it("says the ttl that etcd grants, which is two seconds at least", async () => {
    const registry = keep(etcd({ endpoints: server.url }));
    const { ttlMs, heartbeatMs = 0 } = await registry.register(instance("short", 1), { ttlMs: 1_000, signal });
    assert.equal(ttlMs, 2_000);
    assert.ok(heartbeatMs < 1_000);
  });

  it("registers and renews more than etcd lets one transaction concern", async () => {
    const registry = keep(etcd({ endpoints: server.url }));
    const ports = Array.from({ length: 260 }, (_, index) => index + 1);
    const leases = await Promise.all(
      ports.map((port) => {
        const { signal } = new AbortController();
        return registry.register(instance(`many-${port % 3}`, port), { ttlMs: 60_000, signal });
      }),
    );
    const beats = leases.map((lease) => ({ lease, status: "draining" as const }));
    assert.deepEqual((await registry.renew(beats, { signal: haltSignal().signal })).unknown, []);
    const update = await registry.list("many-0", { signal });
    assert.deepEqual(
      update.type === "reset" && new Set(update.instances.map(({ status }) => status)),
      new Set(["draining"]),
    );
  });

  it("lists more instances than one answer holds", async () => {
    const registry = keep(etcd({ endpoints: server.url }));
    for (let batch = 0; batch < 21; batch++) {
      const success = Array.from({ length: 100 }, (_, index) => {
        const [id, port] = [`crowd-${batch}-${index}`, 1 + batch * 100 + index];
        const key = Buffer.from(`/mcp-discovery/services/crowd/instances/${id}/1`).toString("base64");
        const record = { id, service_name: "crowd", host: "127.0.0.1", port };
        return { request_put: { key, value: Buffer.from(JSON.stringify(record)).toString("base64") } };
      });
      await post("kv/txn", { success });
    }
    const update = await registry.list("crowd", { signal });
    assert.equal(update.type === "reset" && update.instances.length, 2_100);
  });

  it("gives registrations of another ttl, and those that die alone, leases of their own", async () => {
    const registry = keep(etcd({ endpoints: server.url }));
    const names = [];
    for (const [port, given] of [{ ttlMs: 3_000 }, { ttlMs: 9_000 }, { ttlMs: 3_000, alone: true }].entries()) {
      const lease = await registry.register(instance("apart", port + 1), { ...given, signal });
      names.push(lease.id.split("/")[1]);
    }
    assert.equal(new Set(names).size, 3);
  });

  it("does not keep alive, for the sake of others, an instance that left without an answer", async () => {
    const proxy = keep(await startFaultProxy(server.url));
    const registry = keep(etcd({ endpoints: proxy.url }));
    const [gone, stays] = [
      await registry.register(instance("half-left", 1), { ttlMs: 9_000, signal }),
      await registry.register(instance("half-left", 2), { ttlMs: 9_000, signal }),
    ];
    const end = proxy.begin({ status: 503, text: "away" });
    await assert.rejects(registry.deregister(gone, { signal }));
    end();
    await registry.renew([{ lease: stays }], { signal });
    const update = await registry.list("half-left", { signal });
    assert.deepEqual(update.type === "reset" && update.instances.map(({ port }) => port), [2]);
  });

  it("registers once when the answer is lost and the question is asked again elsewhere", async () => {
    const [silent, heard] = [keep(await startFaultProxy(server.url)), keep(await startFaultProxy(server.url))];
    const registry = keep(etcd({ endpoints: [silent.url, heard.url] }));
    const lease = await registry.register(instance("lost-answer", 1), { ttlMs: 9_000, signal });
    await registry.deregister(lease, { signal });
    const asked = registry.register(instance("lost-answer", 1), { ttlMs: 9_000, signal });
    const before = silent.requests.length;
    while (silent.requests.length === before) await new Promise(setImmediate);
    silent.begin("silence");
    const again = await asked;
    assert.deepEqual((await registry.renew([{ lease: again }], { signal })).unknown, []);
    const update = await registry.list("lost-answer", { signal });
    assert.deepEqual(update.type === "reset" && update.instances.map(({ incarnation }) => incarnation), [
      again.instance.incarnation,
    ]);
  });

  it("finds out by a list that a watch has fallen silent, and resumes it without a gap", async () => {
    const proxy = keep(await startFaultProxy(server.url));
    const { registry, updates } = await watchedThrough(proxy, "silent");
    await missedBy(proxy, "silent");
    await registry.list("silent", { signal });
    const update = await updates.until(({ type }) => type !== "current");
    assert.equal(update.type === "change" && update.upserted[0]?.port, 2);
    assert.equal(update.type === "change" && update.since, updates.seen[0]);
  });

  it("lists again when what a watch has missed is compacted away", async () => {
    const proxy = keep(await startFaultProxy(server.url));
    const { registry, updates } = await watchedThrough(proxy, "compacted");
    await missedBy(proxy, "compacted");
    const { header } = await post("kv/put", { key: "AA==" }); // the last revision is never compacted away
    await post("kv/compaction", { revision: header.revision, physical: true });
    await registry.list("compacted", { signal });
    await assert.rejects(
      updates.until(({ type }) => type !== "current"),
      /compacted/,
    );
    const again = await watch(registry, "compacted", updates.seen[0]).until(() => true);
    assert.deepEqual(again.type === "reset" && again.instances.map(({ port }) => port), [1, 2]);
  });

  it("takes its watches along from an endpoint that no longer answers", async () => {
    const [dead, alive] = [keep(await startFaultProxy(server.url)), keep(await startFaultProxy(server.url))];
    const registry = keep(etcd({ endpoints: [dead.url, alive.url] }));
    const updates = watch(registry, "moved");
    await updates.until(() => true);
    await systemClock.sleep(1_100); // the stream stands: one that has just begun is not resumed at once
    assert.equal(alive.requests.length, 0);
    dead.begin("silence");
    await registry.list("moved", { signal });
    const next = updates.until(({ type }) => type !== "current" && type !== "absent");
    while (!alive.requests.some((each) => each.includes("/v3/watch"))) await systemClock.sleep(10); // though nothing differs
    await registry.register(instance("moved", 1), { ttlMs: 9_000, signal });
    const update = await next;
    assert.equal(update.type === "reset" && update.instances.length, 1);
  });

  it("stays with an endpoint as long as that answers", async () => {
    const [first, second] = [keep(await startFaultProxy(server.url)), keep(await startFaultProxy(server.url))];
    const registry = keep(etcd({ endpoints: [first.url, second.url] }));
    for (let times = 0; times < 5; times++) await registry.list("sticky", { signal });
    assert.equal(second.requests.length, 0);
  });

  it("shares one stream among all who watch a service through one value", async () => {
    const proxy = keep(await startFaultProxy(server.url));
    const registry = keep(etcd({ endpoints: proxy.url }));
    const watches = [watch(registry, "shared"), watch(registry, "shared"), watch(registry, "shared")];
    await Promise.all(watches.map((each) => each.until(() => true)));
    await registry.register(instance("shared", 1), { ttlMs: 9_000, signal });
    await Promise.all(watches.map((each) => each.until(({ type }) => type === "reset")));
    assert.equal(proxy.requests.filter((each) => each.includes("/v3/watch")).length, 1);
  });

  it("is asked nothing in a quiet time, by however many resolvers", async () => {
    const proxy = keep(await startFaultProxy(server.url));
    const registry = keep(etcd({ endpoints: proxy.url }));
    const names = ["quiet-1", "quiet-2", "quiet-3", "quiet-4", "quiet-5"];
    const enter = (service: string) => registry.register(instance(service, 3_000), { ttlMs: 60_000, signal });
    await Promise.all(names.map(enter));
    const resolvers = [keep(createResolver({ registry })), keep(createResolver({ registry }))];
    await Promise.all(resolvers.flatMap((resolver) => names.map((name) => resolver.service(name).ready())));
    await systemClock.sleep(1_500);
    assert.equal(proxy.requests.filter((each) => each.includes("/v3/watch")).length, names.length);
    const before = proxy.requests.length;
    await systemClock.sleep(3_000);
    assert.deepEqual(proxy.requests.slice(before), []);
  });

  it("keeps two prefixes apart, and refuses one that does not end in a slash", async () => {
    const [a, b] = [keep(etcd({ endpoints: server.url, prefix: "/a/" })), keep(etcd({ endpoints: server.url }))];
    await a.register(instance("apart-a", 1), { ttlMs: 9_000, signal });
    assert.equal((await b.list("apart-a", { signal })).type, "absent");
    assert.throws(() => etcd({ prefix: "/a" }), /etcd\.prefix must be .* ends in \//);
  });

  it("says what is wrong with a port where nobody listens, and one that speaks something else", async () => {
    await rejects(list({ endpoints: "http://127.0.0.1:1" }), "UNAVAILABLE", /127\.0\.0\.1:1.*is it running/);
    await rejects(
      list({ endpoints: server.url.replace("http:", "https:") }),
      "UNAVAILABLE",
      /does it speak TLS at all/,
    );
    const peer = await peerOf(server);
    await rejects(list({ endpoints: peer }), "PROTOCOL", /kv\/txn with 404.*client port of an etcd/);
  });
});

describe.skipIf(missing)("an etcd that wants to know who asks", () => {
  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), "mcp-etcd-"));
    server = await startRegistry("etcd.sh", ["--auth", PASSWORD, "--data", data]);
    return async () => {
      await server.stop();
      await rm(data, { recursive: true, force: true });
    };
  });
  afterEach(clearUp);

  it("lets in who has the password, and says what is wrong with others", async () => {
    const { url: endpoints } = server;
    assert.equal((await list({ endpoints, username: "root", password: PASSWORD })).type, "absent");
    await rejects(list({ endpoints }), "UNAUTHORIZED", /user name is empty; it wants a username/);
    await rejects(
      list({ endpoints, username: "root", password: "wrong" }),
      "UNAUTHORIZED",
      /are username and password right/,
    );
    await rejects(list({ endpoints, token: "stale" }), "UNAUTHORIZED", /invalid auth token; has the token run out/);
  });

  it("gives another token to who comes with one that it has forgotten, for requests and watches", async () => {
    const proxy = keep(await startFaultProxy(server.url));
    const registry = keep(etcd({ endpoints: proxy.url, username: "root", password: PASSWORD }));
    await registry.list("renewed", { signal });
    await restartWith(data); // which has everything but the tokens, and 3.4 even those
    await endTokens();
    await registry.register(instance("renewed", 1), { ttlMs: 9_000, signal });
    assert.equal((await watch(registry, "renewed").until(() => true)).type, "reset");
    assert.equal(proxy.requests.filter((each) => each.includes("authenticate")).length, 2);
  });

  it("refuses a watch that has no right to the prefix", async () => {
    const registry = keep(etcd({ endpoints: server.url }));
    await rejects(
      watch(registry, "secret").until(() => true),
      "UNAUTHORIZED",
      /user name is empty/,
    );
  });
});

describe.skipIf(missing)("an etcd that was replaced by an empty one which asks for passwords, too", () => {
  afterEach(clearUp);

  it("is asked for another token once the old one has been waited for in vain", async () => {
    server = await startRegistry("etcd.sh", ["--auth", PASSWORD]);
    opened.push({ close: () => server.stop() });
    const registry = keep(etcd({ endpoints: server.url, username: "root", password: PASSWORD }));
    for (let port = 1; port < 30; port++) await registry.register(instance("old", port), { ttlMs: 9_000, signal });
    await server.stop();
    server = await startRegistry("etcd.sh", ["--auth", PASSWORD, "--port", String(server.port)]);
    await registry.list("old", { signal }).catch(() => {}); // etcd waits until it has a token of that age
    assert.equal((await registry.list("old", { signal })).type, "absent");
  });
});

describe.skipIf(missing)("an etcd that went back to an older copy of its data", () => {
  afterEach(clearUp);

  it("has begun another epoch: whoever is missing there is doubted, not gone", async () => {
    const folder = await mkdtemp(join(tmpdir(), "mcp-etcd-"));
    opened.push({ close: () => rm(folder, { recursive: true, force: true }) });
    const [now, copy] = [join(folder, "now"), join(folder, "copy")];
    server = await startRegistry("etcd.sh", ["--data", now]);
    opened.push({ close: () => server.stop() });
    const registry = keep(etcd({ endpoints: server.url }));
    await registry.register(instance("back", 1), { ttlMs: 60_000, signal });
    await server.stop();
    await cp(now, copy, { recursive: true });
    server = await startRegistry("etcd.sh", ["--data", now]);
    for (const port of [2, 3]) await registry.register(instance("back", port), { ttlMs: 60_000, signal });
    const before = await registry.list("back", { signal });
    await server.stop();
    server = await startRegistry("etcd.sh", ["--data", copy]);
    const after = await registry.list("back", { signal });
    assert.equal(after.type === "reset" && after.instances.length, 1);
    assert.notEqual(after.epoch, before.epoch);
    const other = keep(etcd({ endpoints: server.url }));
    assert.equal((await other.list("back", { signal })).epoch, after.epoch);
  });
});

describe.skipIf(missing)("a cluster that a backup was restored into, and that has gone on since", () => {
  afterEach(clearUp);

  it("is another epoch by its cluster id alone: whoever is missing is doubted, and agents register again", async () => {
    server = await startRegistry("etcd.sh");
    opened.push({ close: () => server.stop() });
    const proxy = keep(await startFaultProxy(server.url));
    const registry = keep(etcd({ endpoints: proxy.url }));
    const fields = { service: "saved", host: "127.0.0.1", drainMs: 0, ttlMs: 6_000 } as const;
    const agent = keep(createAgent({ registry, ...fields, port: 3_001 }));
    await agent.start();
    const other = await restoredFrom(server);
    const late = await registry.register(instance("saved", 3_002), { ttlMs: 60_000, signal });
    const service = keep(createResolver({ registry, probe: async () => "alive" })).service("saved");
    await service.ready({ instances: 2 });
    const [before, then] = [service.snapshot.epoch, await epochKey(server)];
    while ((await epochKey(other)).revision <= then.revision) await post("kv/put", { key: "eA==" }, other.url);
    const again = new Promise((resolve) => agent.on("registered", resolve));
    proxy.target = other.url;
    proxy.cut();
    while (service.snapshot.epoch === before) await systemClock.sleep(20);
    assert.deepEqual([service.instances().length, service.snapshot.suspects], [2, [late.instance.id]]);
    await again;
    assert.equal((await epochKey(other)).word, then.word);
  });
});

for (const what of ["leader", "follower"] as const) {
  describe.skipIf(missing)(`an etcd of three members that loses its ${what}`, () => {
    afterEach(clearUp);

    it("loses no registration and no watch, and takes new ones", async () => {
      server = await startRegistry("etcd.sh", ["--cluster", "3"]);
      opened.push({ close: () => server.stop() });
      const { endpoints, victim } = await membersOf(server, what);
      const registry = keep(etcd({ endpoints }));
      const agent = keep(createAgent({ registry, service: "kept", host: "127.0.0.1", port: 3_001, ttlMs: 6_000 }));
      const lost: unknown[] = [];
      agent.on("lost", (event) => lost.push(event));
      await agent.start();
      const service = keep(createResolver({ registry })).service("kept");
      await service.ready();
      await systemClock.sleep(1_100);
      const picks = picking(service);
      process.kill(victim, "SIGKILL");
      const late = keep(createAgent({ registry, service: "kept", host: "127.0.0.1", port: 3_002, ttlMs: 6_000 }));
      await late.start();
      while (service.snapshot.instances.length < 2) await systemClock.sleep(20);
      assert.equal((await picks.end()).misses, 0);
      assert.deepEqual(lost, []);
    });
  });
}

describe.skipIf(missing)("an etcd without a quorum", () => {
  afterEach(clearUp);

  it("is away, whatever is asked, and a resolver says that its list is stale", async () => {
    server = await startRegistry("etcd.sh", ["--cluster", "3"]);
    opened.push({ close: () => server.stop() });
    const [, second, third] = pidsOf(server);
    const registry = keep(etcd({ endpoints: server.info["endpoints"]?.[0]?.split(",") ?? [] }));
    const lease = await registry.register(instance("minority", 1), { ttlMs: 9_000, signal });
    const service = keep(createResolver({ registry, staleAfterMs: 1_000 })).service("minority");
    await service.ready();
    for (const pid of [second, third]) process.kill(pid as number, "SIGKILL");
    await rejects(registry.list("minority", { signal }), "UNAVAILABLE", /etcd http/);
    await rejects(registry.renew([{ lease }], { signal }), "UNAVAILABLE", /etcd http/);
    await rejects(registry.register(instance("minority", 2), { ttlMs: 9_000, signal }), "UNAVAILABLE", /etcd http/);
    while (!service.snapshot.stale) await systemClock.sleep(20);
    assert.equal(service.pickNow().instance.port, 1);
  });
});

function keep<T extends { close(): Promise<unknown> }>(value: T): T {
  opened.push(value);
  return value;
}

async function clearUp(): Promise<void> {
  for (const each of opened.splice(0).reverse()) await each.close();
}

/** A cluster of its own, with a copy of another's data. */
async function restoredFrom({ url }: RunningRegistry): Promise<RunningRegistry> {
  const folder = await mkdtemp(join(tmpdir(), "mcp-etcd-"));
  opened.push({ close: () => rm(folder, { recursive: true, force: true }) });
  const answer = await fetch(`${url}/v3/maintenance/snapshot`, { method: "POST", body: "{}" });
  const parts = (await answer.text()).trim().split("\n");
  const backup = join(folder, "backup");
  await writeFile(
    backup,
    Buffer.concat(parts.map((part) => Buffer.from(JSON.parse(part).result.blob ?? "", "base64"))),
  );
  const copy = await startRegistry("etcd.sh", ["--restore", backup]);
  opened.push({ close: () => copy.stop() });
  return copy;
}

async function epochKey({ url }: RunningRegistry) {
  const { header, kvs } = await post("kv/range", { key: Buffer.from("/mcp-discovery/epoch").toString("base64") }, url);
  return { revision: Number(header.revision), word: kvs[0].value };
}

/** A password that is set anew, to what it was, ends the tokens of its user. */
async function endTokens(): Promise<void> {
  const root = { name: "root", password: PASSWORD };
  const { token: authorization } = await post("auth/authenticate", root);
  await post("auth/user/changepw", root, server.url, { authorization });
}

/** With its data it has its ports and its users. */
async function restartWith(folder: string): Promise<void> {
  await server.stop();
  server = await startRegistry("etcd.sh", ["--data", folder]);
}

function instance(service: string, port: number) {
  return defineInstance({ service, host: "127.0.0.1", port });
}

function list(options: EtcdOptions) {
  return keep(etcd(options)).list("orders", { signal });
}

function watch(registry: ReturnType<typeof etcd>, service: string, since?: string) {
  const halt = new AbortController();
  const updates = registry.watch?.(service, { since, signal: halt.signal })[Symbol.asyncIterator]();
  const seen: (string | undefined)[] = [];
  opened.push({ close: async () => halt.abort() });
  return {
    seen,
    async until(isIt: (update: RegistryUpdate) => boolean): Promise<RegistryUpdate> {
      for (;;) {
        const next = await updates?.next();
        assert.ok(next && !next.done, "the watch ended");
        if (next.value.type !== "absent") seen.push(next.value.position);
        if (isIt(next.value)) return next.value;
      }
    },
  };
}

/** A watch through a proxy that has told of one instance, and stands for longer than a second. */
async function watchedThrough(proxy: FaultProxy, service: string) {
  const registry = keep(etcd({ endpoints: proxy.url }));
  await registry.register(instance(service, 1), { ttlMs: 60_000, signal });
  const updates = watch(registry, service);
  await updates.until(({ type }) => type === "reset");
  await systemClock.sleep(1_100);
  return { registry, updates };
}

/** A registration that a proxy keeps from those who watch through it. */
async function missedBy(proxy: FaultProxy, service: string): Promise<void> {
  const end = proxy.begin("silence");
  const other = keep(etcd({ endpoints: server.url }));
  await other.register(instance(service, 2), { ttlMs: 60_000, signal });
  await systemClock.sleep(300);
  end();
}

// biome-ignore lint/suspicious/noExplicitAny: what etcd answers, as it is
async function post(path: string, body: unknown, origin = server.url, headers = {}): Promise<any> {
  const answer = await fetch(`${origin}/v3/${path}`, { method: "POST", body: JSON.stringify(body), headers });
  const told = (await answer.json()) as unknown;
  assert.equal(answer.status, 200, JSON.stringify(told));
  return told;
}

async function peerOf({ url }: RunningRegistry): Promise<string> {
  const { members } = await post("cluster/member/list", {}, url);
  return members[0].peerURLs[0];
}

function pidsOf({ info }: RunningRegistry): readonly number[] {
  return (info["node"] ?? []).map((node) => Number(node.split(" ")[2]));
}

/** The members, with one that is to be killed first. */
async function membersOf({ info }: RunningRegistry, what: "leader" | "follower") {
  const nodes = (info["node"] ?? []).map((node) => node.split(" "));
  const told = await Promise.all(
    nodes.map(async ([, url = "", pid]) => {
      const { header, leader } = await post("maintenance/status", {}, url);
      return { url, pid: Number(pid), isLeader: header.member_id === leader };
    }),
  );
  const victim = told.find(({ isLeader }) => isLeader === (what === "leader"));
  assert.ok(victim);
  const others = told.filter((each) => each !== victim).map(({ url }) => url);
  return { endpoints: [victim.url, ...others], victim: victim.pid };
}

function rejects(call: Promise<unknown>, code: ErrorCode, pattern: RegExp): Promise<void> {
  return assert.rejects(call, (error) => {
    assert.ok(DiscoveryError.is(error, code), String(error));
    assert.match(error.message, pattern);
    return true;
  });
}
