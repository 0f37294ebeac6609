import assert from "node:assert/strict";
import { afterEach, describe, it } from "vitest";
import {
  createResolver,
  DiscoveryError,
  defineInstance,
  type InstanceInput,
  type Lease,
  memoryRegistry,
} from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { faultyRegistry } from "../fakes/registrar.js";

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe("a service", () => {
  it("follows the registry as it changes, and tells only of differences", async () => {
    const { clock, orders, register, faulty } = await start();
    const changes: string[] = [];
    orders.on("changed", ({ difference: { added, updated, removed } }) =>
      changes.push(`+${added.length} ~${updated.length} -${removed.length}`),
    );
    const lease = await register(3_000);
    await clock.advance(10);
    await register(3_001);
    await clock.advance(10);
    await faulty.memory.renew([{ lease, status: "draining" }]);
    await clock.advance(10);
    await faulty.memory.deregister(lease);
    await clock.advance(120_000);
    assert.deepEqual(changes, ["+1 ~0 -0", "+1 ~0 -0", "+0 ~1 -0", "+0 ~0 -1"]);
  });

  it("is picked from by a listener of the change as the change says", async () => {
    const { clock, orders, register, faulty } = await start();
    const gone = await register(3_000);
    await clock.advance(10);
    const picked: (number | undefined)[] = [];
    orders.on("changed", () => picked.push(orders.pickNow().instance.port, orders.usable.length));
    await faulty.memory.deregister(gone);
    await register(3_001);
    await clock.advance(10);
    assert.deepEqual(picked, [3_001, 1]);
  });

  it("asks once, however many wait for the first list", async () => {
    const { clock, resolver, faulty, register } = make();
    await register(3_000);
    const orders = resolver.service("orders");
    const picks = Promise.all(Array.from({ length: 50 }, () => orders.pick()));
    await clock.advance(10);
    assert.equal((await picks).length, 50);
    assert.deepEqual(faulty.calls.filter((call) => call === "list").length, 1);
    assert.deepEqual(faulty.calls.filter((call) => call === "watch").length, 1);
  });

  it("is ready once so many can be called, if it is asked to wait for them, however long that takes", async () => {
    const { clock, orders, register } = await start();
    let ready = 0;
    void orders.ready({ instances: 2 }).then(({ instances }) => (ready = instances.length));
    await clock.advance(60_000);
    await register(3_000);
    await register(3_001, { status: "starting" });
    await clock.advance(20_000);
    assert.equal(ready, 0);
    await register(3_002);
    await clock.advance(20_000);
    assert.equal(ready, 3, "two of them usable");
  });

  it("waits for so many no longer than the signal or the resolver allows", async () => {
    const { clock, orders, resolver } = await start();
    const halt = new AbortController();
    const reason = new Error("mine");
    const waits = [orders.ready({ instances: 1, signal: halt.signal }), orders.ready({ instances: 1 })];
    const ends = Promise.allSettled(waits);
    halt.abort(reason);
    await clock.advance(10);
    await resolver.close();
    const [aborted, closed] = (await ends) as PromiseRejectedResult[];
    assert.equal(aborted?.reason, reason);
    assert.ok(DiscoveryError.is(closed?.reason, "CLOSED"));
    await assert.rejects(orders.ready({ instances: 0.5 }), { field: "ready.instances" });
  });

  it("of which a registry that has just started knows nobody yet, says so", async () => {
    const { clock, resolver, faulty } = make();
    faulty.restart(30_000);
    const orders = resolver.service("ordrs");
    await clock.advance(10);
    const early = /knows no "ordrs" yet: it has just started, .*\. Is the name right\?/;
    assert.throws(() => orders.pickNow(), { code: "NO_INSTANCES", message: early });
    await clock.advance(60_000);
    assert.throws(() => orders.pickNow(), { code: "SERVICE_UNKNOWN" });
  });

  it("is one handle, however it is asked for", async () => {
    const { resolver, orders } = await start();
    assert.equal(resolver.service("ORDERS"), orders);
    assert.throws(
      () => resolver.service("no/name"),
      (error) => DiscoveryError.is(error, "INVALID_OPTION"),
    );
  });

  it("serves the last list without limit while the registry is away, and says that it is stale", async () => {
    const { clock, orders, faulty, register } = await start();
    await register(3_000);
    await clock.advance(10);
    const events: string[] = [];
    orders.on("stale", () => events.push("stale")).on("fresh", () => events.push("fresh"));
    faulty.mode = "down";
    await register(3_001); // wakes the stream, which is cut
    await clock.advance(24 * 3_600_000);
    assert.equal(orders.snapshot.stale, true);
    assert.equal(orders.pickNow().instance.port, 3_000);
    faulty.mode = "up";
    await register(3_002);
    await clock.advance(31_000);
    assert.equal(orders.snapshot.stale, false);
    assert.deepEqual(events, ["stale", "fresh"]);
  });

  it("loses nobody when the registry restarts with an empty memory", async () => {
    const { clock, orders, faulty, register } = await start();
    await register(3_000);
    await register(3_001);
    await clock.advance(10);
    faulty.restart(30_000);
    await clock.advance(29_000);
    assert.deepEqual(ports(orders), [3_000, 3_001]);
    assert.equal(orders.snapshot.suspects.length, 2);
    await register(3_001);
    await clock.advance(29_000);
    assert.deepEqual(orders.snapshot.suspects, ["orders@127.0.0.1:3000"]);
    assert.deepEqual(ports(orders), [3_000, 3_001]);
  });

  it("lets the doubted go one ttl after the registry has warmed up", async () => {
    const { clock, orders, faulty, register } = await start();
    await register(3_000, {}, 30_000);
    await register(3_001);
    await clock.advance(10);
    faulty.restart(30_000);
    await register(3_001);
    await clock.advance(58_000);
    assert.deepEqual(ports(orders), [3_000, 3_001]);
    await clock.advance(60_000);
    assert.deepEqual(ports(orders), [3_001]);
    assert.deepEqual(orders.snapshot.suspects, []);
  });

  it("doubts nobody any more who is back just as before", async () => {
    const { clock, orders, faulty, register } = await start();
    await register(3_000);
    await register(3_001);
    await clock.advance(10);
    faulty.restart(30_000);
    await clock.advance(5_000);
    assert.equal(orders.snapshot.suspects.length, 2);
    await register(3_000); // its incarnation is the first of this memory, as it was of the last: nothing differs
    await clock.advance(10);
    assert.deepEqual(orders.snapshot.suspects, ["orders@127.0.0.1:3001"]);
    await register(3_001);
    await clock.advance(10);
    assert.deepEqual(orders.snapshot.suspects, []);
  });

  it("believes a reason at once, even while the registry warms up", async () => {
    const { clock, orders, faulty, register } = await start();
    await register(3_000);
    await register(3_001);
    await clock.advance(10);
    faulty.restart(30_000);
    await clock.advance(5_000);
    const lease = await register(3_000);
    await clock.advance(5_000);
    await faulty.memory.deregister(lease);
    await clock.advance(5_000);
    assert.deepEqual(ports(orders), [3_001]);
  });

  it("picks the best tier that is there", async () => {
    const { clock, orders, register, faulty } = await start();
    const first = await register(3_000);
    await register(3_001);
    await clock.advance(10);
    await faulty.memory.renew([{ lease: first, status: "draining" }]);
    await clock.advance(10);
    const picked = new Set(Array.from({ length: 10 }, () => orders.pickNow().instance.port));
    assert.deepEqual([...picked], [3_001]);
  });

  it("uses the draining when nobody else is left, and the starting never", async () => {
    const { clock, orders, register, faulty } = await start();
    const lease = await register(3_000);
    await register(3_001, { status: "starting" });
    await clock.advance(10);
    await faulty.memory.renew([{ lease, status: "draining" }]);
    await clock.advance(10);
    assert.equal(orders.pickNow().instance.port, 3_000);
    await faulty.memory.deregister(lease);
    await clock.advance(10);
    assert.throws(
      () => orders.pickNow(),
      (error) => DiscoveryError.is(error, "NO_INSTANCES") && error.counts?.["starting"] === 1,
    );
  });

  it("opens a watch again that has fallen silent", async () => {
    const { clock, orders, faulty, register } = await start();
    await register(3_000);
    await clock.advance(10);
    const before = faulty.calls.filter((call) => call === "watch").length;
    await clock.advance(60_000);
    assert.ok(faulty.calls.filter((call) => call === "watch").length > before);
    assert.deepEqual(ports(orders), [3_000]);
  });

  it("keeps an endpoint and what was measured through refreshes and a change of the balancer", async () => {
    const { clock, orders, register } = await start();
    await register(3_000);
    await clock.advance(10);
    const [endpoint] = orders.endpoints;
    endpoint?.settle("success", 12, clock.now());
    await register(3_001);
    await clock.advance(10);
    orders.setBalancer(orders.balancer);
    assert.equal(orders.endpoints[0], endpoint);
    assert.equal(orders.endpoints[0]?.load.latencyMs, 12);
  });

  it("forgets what it held against an earlier life", async () => {
    const { clock, orders, register } = await start();
    await register(3_000);
    await register(3_001);
    await clock.advance(10);
    orders.endpoints[0]?.settle("refused", 1, 0);
    assert.equal(orders.endpoints[0]?.ejection.cause, "refused");
    await register(3_000);
    await clock.advance(10);
    assert.equal(orders.endpoints[0]?.ejection.cause, undefined);
  });

  it("suspends the least used beyond its bound, and revives them when they are used", async () => {
    const { clock, resolver, faulty, register } = make({ maxServices: 2 });
    await register(3_000);
    const orders = resolver.service("orders");
    await clock.advance(10);
    resolver.service("a");
    resolver.service("b");
    await clock.advance(10);
    assert.equal(resolver.service("orders"), orders);
    faulty.calls.length = 0;
    assert.equal(orders.pickNow().instance.port, 3_000);
    resolver.service("a");
    resolver.service("b");
    const late = orders.pick();
    await clock.advance(10);
    assert.equal((await late).instance.port, 3_000);
  });

  it("is watched no longer when nobody calls it, and again from the next call on", async () => {
    const { clock, orders, register, faulty } = await start();
    await register(3_000);
    await clock.advance(300_000);
    orders.pickNow().release();
    await clock.advance(500_000);
    faulty.calls.length = 0;
    await clock.advance(60_000);
    assert.ok(faulty.calls.length > 0, "ten minutes have not passed since the last call");
    await clock.advance(300_000);
    faulty.calls.length = 0;
    await clock.advance(600_000);
    assert.equal(faulty.calls.length, 0);
    assert.equal(orders.pickNow().instance.port, 3_000);
    await clock.advance(10);
    assert.ok(faulty.calls.includes("list"));
  });

  it("holds nothing of the thousands it was asked for once", async () => {
    const clock = new ManualClock();
    const registry = memoryRegistry({ clock, warmingMs: 0 }); // answers at once, also to whoever was just suspended
    const resolver = createResolver({ registry, clock, maxServices: 2 });
    opened.push(resolver, registry);
    for (let name = 0; name < 1_000; name++) resolver.service(`name-${name}`);
    await clock.advance(10);
    assert.ok(clock.pending <= 2 * 3, `${clock.pending} timers for two services`);
  });

  it("leaves no timer behind and says no more when a listener of a change closes it", async () => {
    const { clock, orders, register } = await start();
    let stale = 0;
    orders.on("stale", () => stale++);
    orders.once("changed", () => orders.close());
    await register(3_000);
    await clock.advance(10);
    await orders.close();
    await clock.advance(120_000);
    assert.equal(stale, 0);
  });

  it("leaves no timer behind", async () => {
    const { clock, resolver, orders, faulty, register } = await start();
    await register(3_000);
    await clock.advance(10);
    orders.endpoints[0]?.settle("refused", 1, 0);
    await resolver.close();
    await faulty.memory.close();
    assert.equal(clock.pending, 0);
  });
});

function make(options: { maxServices?: number } = {}) {
  const clock = new ManualClock();
  const faulty = faultyRegistry(clock);
  const probe = async () => "unknown" as const; // nobody listens at the addresses of these tests
  const resolver = createResolver({ registry: faulty.registry, clock, random: () => 0.5, probe, ...options });
  opened.push(resolver);
  const register = (port: number, fields: Partial<InstanceInput> = {}, ttlMs = 86_400_000): Promise<Lease> =>
    faulty.memory.register(defineInstance({ service: "orders", host: "127.0.0.1", port, ...fields }), {
      ttlMs,
      signal: new AbortController().signal,
    });
  return { clock, faulty, resolver, register };
}

async function start() {
  const made = make();
  const orders = made.resolver.service("orders");
  await made.clock.advance(10);
  return { ...made, orders };
}

function ports(orders: { instances(): readonly { port: number }[] }): number[] {
  return orders.instances().map(({ port }) => port);
}
