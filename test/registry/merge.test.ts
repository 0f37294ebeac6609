import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { staticRegistry } from "../../src/adapters/static.js";
import { createAgent, createResolver } from "../../src/index.js";
import { failoverOn } from "../../src/registry/failover.js";
import { memoryRegistry } from "../../src/registry/memory.js";
import { mergeOn } from "../../src/registry/merge.js";
import type { Discovery, Registry } from "../../src/registry/registry.js";
import { ManualClock, registryContract } from "../../src/testing/index.js";
import { orders, scriptedRegistry, snapshot } from "../fakes/scripted-registry.js";
import { switched } from "../fakes/switched-registry.js";
import { opened } from "../opened.js";

describe("the registry contract, through merge", () => {
  const make = async (is: "there" | "away") => {
    const { clock, first, both } = start();
    first.is = is;
    return { registry: both, advance: (ms: number) => clock.advance(ms), close: async () => {} };
  };
  for (const { name, run } of registryContract(() => make("there"))) it(name, run);
  for (const { name, run } of registryContract(() => make("away"))) it(`${name}, while one is away`, run);
});

describe("merge, for readers", () => {
  it("lists whoever is in any of them, the first one's word before the second's", async () => {
    const { first, second, both, signal } = start();
    const [one, two] = orders(1, 2);
    await first.registry.register({ ...one!, weight: 5 }, { ttlMs: 30_000, signal });
    await second.registry.register({ ...one!, weight: 9 }, { ttlMs: 30_000, signal });
    await second.registry.register(two!, { ttlMs: 30_000, signal });
    const update = await both.list("orders", { signal });
    assert.deepEqual(update.type === "reset" && update.instances.map(({ port, weight }) => [port, weight]), [
      [1, 5],
      [2, 1],
    ]);
  });

  it("takes whoever is alive in one for alive, and whoever is leaving one for leaving", async () => {
    const [one, two] = orders(1, 2);
    const given = (statuses: readonly ["failed" | "healthy", "healthy" | "draining"]) =>
      staticRegistry([
        { ...one!, status: statuses[0] },
        { ...two!, status: statuses[1] },
      ]);
    const both = mergeOn(ground(), [given(["failed", "healthy"]), given(["healthy", "draining"])]);
    const update = await both.list("orders", { signal: new AbortController().signal });
    assert.deepEqual(update.type === "reset" && update.instances.map(({ status }) => status), ["healthy", "draining"]);
  });

  it("keeps what a registry said last while that is away", async () => {
    const { clock, first, second, both, signal } = start();
    await first.registry.register(orders(1)[0]!, { ttlMs: 3_600_000, signal });
    const service = await consumer(both, clock);
    first.is = "away";
    await clock.advance(100_000);
    await second.registry.register(orders(2)[0]!, { ttlMs: 3_600_000, signal });
    await clock.advance(0);
    assert.deepEqual(
      service.instances().map(({ port }) => port),
      [1, 2],
    );
    assert.equal(service.snapshot.stale, false);
  });

  it("lists one whose watch cannot be had, though the other one is polled", async () => {
    const { clock, random } = ground();
    const first = scriptedRegistry();
    first.list = async () => snapshot(1, [1]);
    first.breakWatch();
    const both = mergeOn({ clock, random }, [first.registry, staticRegistry([])]);
    const service = await consumer(both as Registry, clock);
    first.list = async () => snapshot(2, [1, 2]);
    await clock.advance(70_000);
    assert.equal(service.instances().length, 2);
  });

  it("goes on calling whom one of them no longer lists when it is back, as if there were no other", async () => {
    const { clock, random } = ground();
    const first = scriptedRegistry();
    first.list = async () => snapshot(1, [1, 2, 3]);
    const registry = mergeOn({ clock, random }, [first.registry, staticRegistry([])]);
    const resolver = createResolver({ registry, clock, random, probe: async () => "alive" });
    opened.push(resolver, registry);
    const service = resolver.service("orders");
    const ready = service.ready();
    await clock.advance(3_000);
    await ready;
    first.list = async () => assert.fail("away");
    first.breakWatch();
    await clock.advance(60_000);
    first.list = async () => snapshot(2, [2]);
    await clock.advance(30_000);
    assert.deepEqual([service.instances().length, service.snapshot.suspects.length], [3, 2]);
    const picked = new Set(Array.from({ length: 30 }, () => service.pickNow().instance.port));
    assert.equal(picked.size, 3);
  });

  it("says at once that one is away, and with every word until that one is back", async () => {
    const { clock, first, second, both, signal } = start();
    const [one, two] = orders(1, 2);
    await first.registry.register(one!, { ttlMs: 3_600_000, signal });
    const updates = both.watch!("orders", { signal })[Symbol.asyncIterator]();
    const next = async () => {
      const update = updates.next();
      await clock.advance(1_000);
      const { type, partial } = (await update).value ?? {};
      return [type, partial];
    };
    assert.deepEqual(await next(), ["reset", undefined]);
    first.is = "away";
    assert.deepEqual(await next(), ["current", true]);
    await second.registry.register(two!, { ttlMs: 3_600_000, signal });
    assert.deepEqual(await next(), ["reset", true]);
    const list = await both.list("orders", { signal });
    assert.deepEqual([list.type, list.partial], ["reset", true]);
    first.is = "there";
    assert.deepEqual(await next(), ["reset", undefined]);
    await updates.return?.();
  });

  for (const [name, within] of [
    ["merge", (ground: Ground, inner: Discovery) => mergeOn(ground, [inner, staticRegistry([])])],
    ["failover", ({ clock }: Ground, inner: Discovery) => failoverOn(clock, [inner, staticRegistry([])])],
  ] as const)
    it(`says so through a ${name} of which it is one`, async () => {
      const { clock, random, first, second, both, signal } = start();
      const outer = within({ clock, random }, both);
      const updates = outer.watch!("orders", { signal })[Symbol.asyncIterator]();
      const next = async () => {
        const update = updates.next();
        await clock.advance(1_000);
        const { type, partial } = (await update).value ?? {};
        return [type, partial ?? false];
      };
      const listed = async () => (await outer.list("orders", { signal })).partial ?? false;
      await second.registry.register(orders(1)[0]!, { ttlMs: 3_600_000, signal });
      assert.deepEqual(await next(), ["reset", false]);
      first.is = "away";
      assert.deepEqual([await next(), await listed()], [["current", true], true]);
      await second.registry.register(orders(2)[0]!, { ttlMs: 3_600_000, signal });
      assert.deepEqual((await next())[1], true);
      first.is = "there";
      assert.deepEqual([await next(), await listed()], [["reset", false], false]);
      await updates.return?.();
    });

  it("says that nobody answers when none does", async () => {
    const { clock, first, second, both, signal } = start();
    const service = await consumer(both, clock);
    first.is = second.is = "away";
    await assert.rejects(both.list("orders", { signal }), /first is away/);
    await clock.advance(61_000);
    assert.equal(service.snapshot.stale, true);
  });

  it("waits no longer than two seconds for one that is silent", async () => {
    const { clock, first, second, both, signal } = start();
    await second.registry.register(orders(1)[0]!, { ttlMs: 30_000, signal });
    first.is = "silent";
    const list = both.list("orders", { signal });
    await clock.advance(2_000);
    assert.equal((await list).type, "reset");
  });

  it("says of a name that the one it could reach does not know, that this proves nothing", async () => {
    const { first, both, signal } = start();
    first.is = "away";
    const update = await both.list("orders", { signal });
    assert.deepEqual([update.type, update.type === "absent" && update.warming], ["absent", true]);
  });

  it("drops nobody when one of them begins anew, and does so when an instance left all of them", async () => {
    const { clock, registries, both, first, second, signal } = start();
    const leases = [first, second].map((each) => each.registry.register(orders(1)[0]!, { ttlMs: 3_600_000, signal }));
    const [, lease] = await Promise.all(leases);
    const service = await consumer(both, clock);
    first.is = "away";
    registries[0] = memoryRegistry({ clock, warmingMs: 0 });
    first.is = "there";
    await clock.advance(60_000);
    assert.equal(service.instances().length, 1);
    await second.registry.deregister(lease!, { signal });
    await clock.advance(0);
    assert.equal(service.instances().length, 0);
  });

  it("keeps whoever leaves one registry for another, and tells why the last one let go", async () => {
    const { first, second, both, signal } = start();
    const options = { ttlMs: 3_600_000, signal };
    const [one, two] = [
      await first.registry.register(orders(1)[0]!, options),
      await second.registry.register(orders(1)[0]!, options),
    ];
    const updates = both.watch!("orders", { signal })[Symbol.asyncIterator]();
    await updates.next();
    await first.registry.deregister(one, { signal });
    const { value: kept } = await updates.next();
    assert.deepEqual([kept.upserted.length, kept.removed], [1, []]);
    await second.registry.deregister(two, { signal });
    const { value: gone } = await updates.next();
    assert.deepEqual(gone.removed, [{ id: "orders@10.0.0.1:1", reason: "deregistered" }]);
  });

  it("ends the watch of every registry when its reader goes, be it between two updates or deaf to its signal", async () => {
    const ended: string[] = [];
    const watched = (name: string, wait: (signal: AbortSignal) => Promise<unknown>): Discovery => ({
      ...staticRegistry(orders(1)),
      name,
      async *watch(_service, { signal: inner }) {
        inner.addEventListener("abort", () => ended.push(`${name} told`));
        try {
          yield { type: "reset", instances: orders(1), position: "1" };
          await wait(inner);
        } finally {
          ended.push(`${name} over`);
        }
      },
    });
    const untilTold = (inner: AbortSignal) => new Promise((resolve) => inner.addEventListener("abort", resolve));
    const both = mergeOn(ground(), [watched("heedful", untilTold), watched("deaf", () => new Promise(() => {}))]);
    const updates = both.watch!("orders", { signal: new AbortController().signal })[Symbol.asyncIterator]();
    await updates.next();
    await updates.return?.();
    await new Promise(setImmediate);
    assert.deepEqual(ended.sort(), ["deaf told", "heedful over", "heedful told"]);
  });

  it("ends a watch that has fallen silent before it begins the next", async () => {
    const { clock, random } = ground();
    const open: AbortSignal[] = [];
    const silent: Discovery = {
      ...staticRegistry(orders(1)),
      capabilities: { ...staticRegistry([]).capabilities, quietMs: 35_000 },
      async *watch(_service, { signal: inner }) {
        open.push(inner);
        yield { type: "reset", instances: orders(1), position: "1" };
        await new Promise(() => {});
      },
    };
    const { signal } = new AbortController();
    const updates = mergeOn({ clock, random }, [silent]).watch!("orders", { signal })[Symbol.asyncIterator]();
    await updates.next();
    await clock.advance(40_000);
    assert.deepEqual([open.length, open[0]?.aborted, open[1]?.aborted], [2, true, false]);
    await updates.return?.();
  });

  it("lets go of a watch that has missed something before it begins the next", async () => {
    let open = 0;
    const { clock, random } = ground();
    const lossy: Discovery = {
      ...staticRegistry(orders(1)),
      async *watch() {
        open++;
        try {
          yield { type: "reset", instances: orders(1), position: "1" };
          yield { type: "change", upserted: [], removed: [], since: "7", position: "8" };
        } finally {
          open--;
        }
      },
    };
    const updates = mergeOn({ clock, random }, [lossy]).watch!("orders", { signal: new AbortController().signal })[
      Symbol.asyncIterator
    ]();
    await updates.next();
    await new Promise(setImmediate);
    assert.equal(open, 0);
    await updates.return?.();
  });

  it("hands a reader that was asleep one list in place of a hundred changes", async () => {
    const { clock, second, both, signal } = start();
    const updates = both.watch!("orders", { signal })[Symbol.asyncIterator]();
    await updates.next();
    const lease = await second.registry.register(orders(1)[0]!, { ttlMs: 30_000, signal });
    for (let weight = 1; weight <= 200; weight++) {
      await second.registry.update(lease, { ...orders(1)[0]!, weight }, { signal });
      await clock.advance(0);
    }
    let read = 0;
    for (let weight = 0; weight !== 200; read++) {
      const { value: update } = await updates.next();
      const told = update.type === "reset" ? update.instances : update.type === "change" ? update.upserted : [];
      weight = told[0]?.weight ?? weight;
    }
    assert.ok(read < 100, `${read} updates`);
  });
});

describe("merge, for agents", () => {
  it("registers with all, and later with one that was away", async () => {
    const { clock, first, second, registries, both } = start();
    second.is = "away";
    const agent = await started(both, clock);
    assert.deepEqual(
      registries.map(({ size }) => size),
      [1, 0],
    );
    await agent.update({ weight: 3 });
    second.is = "there";
    await clock.advance(12_000);
    assert.deepEqual(
      registries.map(({ size }) => size),
      [1, 1],
    );
    first.is = "away";
    await agent.update({ weight: 4 });
    first.is = "there";
    await clock.advance(12_000);
    const lists = await Promise.all(registries.map((each) => each.list("orders")));
    assert.deepEqual(
      lists.map((list) => list.type === "reset" && list.instances[0]?.weight),
      [4, 4],
    );
  });

  it("takes nobody for lost who is held by one, even if the other forgot or is silent", async () => {
    const { clock, first, second, registries, both } = start();
    const agent = await started(both, clock);
    let lost = 0;
    agent.on("lost", () => lost++);
    registries[0] = memoryRegistry({ clock, warmingMs: 0 });
    await clock.advance(12_000);
    assert.deepEqual(
      registries.map(({ size }) => size),
      [1, 1],
    );
    second.is = "silent";
    await clock.advance(60_000);
    assert.deepEqual([lost, registries[0].size], [0, 1]);
    assert.equal(first.is, "there");
  });

  it("refuses an id that any of them holds for another, and leaves nothing behind", async () => {
    const { second, registries, both, signal } = start();
    await second.registry.register(orders(1)[0]!, { ttlMs: 30_000, signal });
    const other = { ...orders(2)[0]!, id: orders(1)[0]!.id };
    await assert.rejects(both.register(other, { ttlMs: 30_000, signal }), /ID_CONFLICT/);
    assert.equal(registries[0]!.size, 0);
  });

  it("leaves all of them", async () => {
    const { clock, registries, both } = start();
    const agent = await started(both, clock);
    const stopped = agent.stop();
    await clock.advance(30_000);
    await stopped;
    assert.deepEqual(
      registries.map(({ size }) => size),
      [0, 0],
    );
  });
});

type Ground = ReturnType<typeof ground>;

function ground() {
  return { clock: new ManualClock(), random: () => 0.5 };
}

function start() {
  const { clock, random } = ground();
  const registries = [0, 1].map(() => memoryRegistry({ clock, random, warmingMs: 0 }));
  const [first, second] = ["first", "second"].map((name, index) =>
    switched(
      name,
      behind(() => registries[index] as Registry),
    ),
  ) as [ReturnType<typeof switched>, ReturnType<typeof switched>];
  const both = mergeOn({ clock, random }, [first.registry, second.registry]) as Registry;
  opened.push(both);
  return { clock, random, registries, first, second, both, signal: new AbortController().signal };
}

/** A registry that may be replaced by another behind its address. */
function behind(now: () => Registry): Registry {
  return {
    name: now().name,
    capabilities: now().capabilities,
    list: (...args) => now().list(...args),
    watch: (service, options) => now().watch!(service, options),
    services: (options) => now().services!(options),
    register: (...args) => now().register(...args),
    renew: (...args) => now().renew(...args),
    update: (...args) => now().update(...args),
    deregister: (...args) => now().deregister(...args),
    close: () => now().close(),
  };
}

async function consumer(registry: Registry, clock: ManualClock) {
  const resolver = createResolver({ registry, clock, random: () => 0.5 });
  opened.push(resolver);
  const service = resolver.service("orders");
  const ready = service.ready().catch(() => {});
  await clock.advance(100);
  await ready;
  return service;
}

async function started(registry: Registry, clock: ManualClock) {
  const agent = createAgent({ service: "orders", host: "10.0.0.1", port: 1, registry, clock, random: () => 0.5 });
  opened.push({ close: () => Promise.all([agent.stop(), clock.advance(60_000)]) });
  await agent.start();
  return agent;
}
