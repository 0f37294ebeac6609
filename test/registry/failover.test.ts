import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, it } from "vitest";
import { staticRegistry } from "../../src/adapters/static.js";
import { createAgent, createResolver, failover, merge } from "../../src/index.js";
import { DiscoveryError } from "../../src/model/errors.js";
import { failoverOn } from "../../src/registry/failover.js";
import { memoryRegistry } from "../../src/registry/memory.js";
import { isRegistrar, type Lease, type Registry } from "../../src/registry/registry.js";
import { ManualClock, registryContract } from "../../src/testing/index.js";
import { orders } from "../fakes/scripted-registry.js";
import { switched } from "../fakes/switched-registry.js";
import { opened } from "../opened.js";

describe("the registry contract, through failover", () => {
  for (const { name, run } of registryContract(onFirst)) it(name, run);
  const unlike = "answers that nothing changed after the position it gave"; // for absence proves nothing there
  const onTheSecond = registryContract(onSecond).filter(({ name }) => name !== unlike);
  for (const { name, run } of onTheSecond) it(`${name}, while the first is away`, run);
});

describe("failover, for readers", () => {
  it("asks the next when the first is away or silent, and stays there", async () => {
    for (const how of ["away", "silent"] as const) {
      const { clock, first, second, both, signal } = start();
      await second.registry.register(orders(1)[0]!, { ttlMs: 30_000, signal });
      first.is = how;
      const list = both.list("orders", { signal });
      await clock.advance(2_000);
      const update = await list;
      assert.deepEqual(update.type === "reset" && update.instances.map(({ port }) => port), [1]);
      first.is = "there";
      first.asked.length = 0;
      await both.list("orders", { signal });
      assert.deepEqual(first.asked, []);
    }
  });

  it("answers every question with the whole list while it reads another than the first, as one that proves no absence", async () => {
    const { first, both, signal, second } = start();
    await second.registry.register(orders(1)[0]!, { ttlMs: 30_000, signal });
    first.is = "away";
    const list = await both.list("orders", { signal });
    const { position: since } = list as { position?: string };
    const again = await both.list("orders", { since, signal });
    assert.deepEqual([again.type, again.type === "reset" && again.warming], ["reset", true]);
    assert.deepEqual(await both.list("carts", { signal }), { type: "absent", epoch: again.epoch, warming: true });
  });

  it("says who is read while the first is away, in explain() and to whoever traces, and when the first is back", async () => {
    const { clock, first, both } = start();
    const moves: unknown[] = [];
    const heard = (move: unknown): void => void moves.push(move);
    subscribe("discovery:failover", heard);
    const service = await consumer(both, clock);
    assert.equal(service.explain().fallback, undefined);
    first.is = "away";
    await clock.advance(60_000);
    assert.equal(service.explain().fallback, "second");
    assert.match(String(service.explain()), / · second is read: what is preferred to it is away/);
    first.is = "there";
    await clock.advance(60_000);
    assert.equal(service.explain().fallback, undefined);
    unsubscribe("discovery:failover", heard);
    const [{ error, ...gone }, ...back] = moves as [{ error: unknown; from: string; to: string }];
    assert.ok(DiscoveryError.is(error));
    assert.deepEqual(
      [gone, ...back],
      [
        { from: "first", to: "second" },
        { from: "second", to: "first", error: undefined },
      ],
    );
  });

  it("fails with what the first said when none answers", async () => {
    const { first, second, both, signal } = start();
    first.is = second.is = "away";
    await assert.rejects(both.list("orders", { signal }), /first is away/);
  });

  it("drops nobody when the next one knows nobody, and forgets them only when the first is sure", async () => {
    const { clock, first, registries, both, signal } = start();
    const { memory, granted } = registries[0]!;
    const passing = async (ms: number): Promise<void> => {
      for (const end = clock.now() + ms; clock.now() < end; await clock.advance(10_000))
        await memory.renew(granted.map((lease) => ({ lease })));
    };
    for (const instance of orders(1, 2)) await first.registry.register(instance, { ttlMs: 30_000, signal });
    const service = await consumer(both, clock);
    assert.equal(service.instances().length, 2);
    first.is = "away";
    await passing(200_000);
    assert.equal(service.instances().length, 2);
    await memory.deregister(granted[0] as Lease);
    first.is = "there";
    await passing(20_000); // it is back, and lists one
    assert.equal(service.instances().length, 2);
    await passing(60_000);
    assert.deepEqual(
      service.instances().map(({ port }) => port),
      [2],
    );
  });

  it("hears of newcomers at the next one, at once, and of those who leave it for a reason", async () => {
    const { clock, first, second, both, signal } = start();
    const service = await consumer(both, clock);
    first.is = "away";
    await clock.advance(3_000);
    const lease = await second.registry.register(orders(1)[0]!, { ttlMs: 30_000, signal });
    await clock.advance(0);
    assert.equal(service.instances().length, 1);
    await second.registry.deregister(lease, { signal });
    await clock.advance(0);
    assert.equal(service.instances().length, 0);
  });

  it("returns to the first once it has answered for ten seconds, not at a blink", async () => {
    const { clock, first, second, both } = start();
    await consumer(both, clock);
    first.is = "away";
    await clock.advance(6_000);
    first.is = "there";
    await clock.advance(6_000);
    first.is = "away";
    await clock.advance(5_000);
    first.is = "there";
    await clock.advance(9_000);
    const watches = (asked: readonly string[]): number => asked.filter((each) => each === "watch").length;
    const before = watches(first.asked);
    await clock.advance(10_000);
    assert.equal(watches(first.asked), before + 1);
    second.asked.length = 0;
    await clock.advance(60_000);
    assert.deepEqual(second.asked, []);
  });

  it("takes a watch that broke for no reason to leave a registry that answers", async () => {
    const { clock, first, second, both } = start();
    await consumer(both, clock);
    first.is = "away";
    first.is = "there"; // only the open watch noticed
    await clock.advance(60_000);
    assert.deepEqual(second.asked, []);
  });

  it("can end with a list that only lists: then nobody registers", () => {
    const both = failover(memoryRegistry(), staticRegistry([]));
    opened.push(both);
    assert.equal(isRegistrar(both as Registry), false);
    assert.equal(both.capabilities.lease, "none");
    assert.equal(both.capabilities.watch, "stream");
  });

  it("can do what its registries can do now, and polls where all of them poll", () => {
    for (const join of [failover, merge]) {
      const inner = memoryRegistry();
      let watch: "stream" | "poll" = "stream";
      const { capabilities } = inner;
      Object.defineProperty(inner, "capabilities", { get: () => ({ ...capabilities, watch }) });
      const both = join(inner, staticRegistry([]));
      opened.push(both);
      assert.equal(both.capabilities.watch, "stream");
      watch = "poll";
      assert.equal(both.capabilities.watch, "poll");
    }
  });
});

describe("failover, for agents", () => {
  it("registers with the next when one beat fails, and with both when the first is back, then with the first alone", async () => {
    const { clock, first, registries, both } = start();
    const lost: unknown[] = [];
    const agent = createAgent({
      service: "orders",
      host: "10.0.0.1",
      port: 1,
      registry: both,
      clock,
      random: () => 0.5,
    });
    agent.on("lost", (event) => lost.push(event));
    opened.push({ close: () => Promise.all([agent.stop(), clock.advance(60_000)]) });
    await agent.start();
    const sizes = (): number[] => registries.map(({ memory }) => memory.size);
    assert.deepEqual(sizes(), [1, 0]);
    first.is = "away";
    await clock.advance(11_000);
    assert.deepEqual(sizes(), [1, 1]);
    await clock.advance(60_000);
    assert.deepEqual(sizes(), [0, 1]);
    first.is = "there";
    await clock.advance(16_000);
    assert.deepEqual(sizes(), [1, 1]);
    await clock.advance(45_000);
    assert.deepEqual(sizes(), [1, 0]);
    assert.deepEqual(lost, []);
  });

  it("loses the lease when no registry answers for a ttl", async () => {
    const { clock, first, second, both } = start();
    const agent = createAgent({
      service: "orders",
      host: "10.0.0.1",
      port: 1,
      registry: both,
      clock,
      random: () => 0.5,
    });
    let lost = 0;
    agent.on("lost", () => lost++);
    opened.push({ close: () => Promise.all([agent.stop(), clock.advance(60_000)]) });
    await agent.start();
    first.is = second.is = "away";
    await clock.advance(45_000);
    assert.equal(lost, 1);
    second.is = "there";
    await clock.advance(60_000);
    assert.equal(agent.state, "registered");
  });

  it("does not go on to the next where another holds the id", async () => {
    const { first, second, both, signal } = start();
    await first.registry.register(orders(1)[0]!, { ttlMs: 30_000, signal });
    const other = { ...orders(2)[0]!, id: orders(1)[0]!.id };
    await assert.rejects(both.register(other, { ttlMs: 30_000, signal }), (e) => DiscoveryError.is(e, "ID_CONFLICT"));
    assert.ok(!second.asked.includes("register"));
  });

  it("lets another process renew a lease", async () => {
    const { clock, first, second, both, signal } = start();
    const lease = await both.register(orders(1)[0]!, { ttlMs: 30_000, signal });
    const other = failoverOn(clock, [first.registry, second.registry]) as Registry;
    const { unknown } = await other.renew([{ lease: JSON.parse(JSON.stringify(lease)) }], { signal });
    assert.deepEqual(unknown, []);
    await assert.rejects(other.renew([{ lease: { ...lease, id: "x" } }], { signal }), /LEASE_LOST/);
  });
});

function start() {
  const clock = new ManualClock();
  const registries = ["first", "second"].map((name) => {
    const memory = memoryRegistry({ clock, warmingMs: 0, random: () => 0.5 });
    const granted: Lease[] = [];
    const register = memory.register.bind(memory);
    const keeping: Registry = {
      ...portOf(memory),
      register: async (...args) => {
        const lease = await register(...args);
        granted.push(lease);
        return lease;
      },
    };
    return { memory, granted, switch: switched(name, keeping) };
  });
  const [first, second] = registries.map((each) => each.switch) as [SwitchedPair, SwitchedPair];
  const both = failoverOn(clock, [first.registry, second.registry]) as Registry;
  opened.push(both);
  return { clock, registries, first, second, both, signal: new AbortController().signal };
}

type SwitchedPair = ReturnType<typeof switched>;

function portOf(memory: Registry): Registry {
  return {
    name: memory.name,
    capabilities: memory.capabilities,
    list: (...args) => memory.list(...args),
    watch: (service, options) => memory.watch!(service, options),
    services: (options) => memory.services!(options),
    register: (...args) => memory.register(...args),
    renew: (...args) => memory.renew(...args),
    update: (...args) => memory.update(...args),
    deregister: (...args) => memory.deregister(...args),
    close: () => memory.close(),
  };
}

async function consumer(registry: Registry, clock: ManualClock) {
  const resolver = createResolver({ registry, clock, random: () => 0.5 });
  opened.push(resolver);
  const service = resolver.service("orders");
  service.on("changed", () => {});
  const ready = service.ready().catch(() => {});
  await clock.advance(100);
  await ready;
  return service;
}

async function onFirst() {
  const { clock, both } = start();
  return { registry: both, advance: (ms: number) => clock.advance(ms), close: async () => {} };
}

async function onSecond() {
  const { clock, both, first } = start();
  first.is = "away";
  return { registry: both, advance: (ms: number) => clock.advance(ms), close: async () => {} };
}
