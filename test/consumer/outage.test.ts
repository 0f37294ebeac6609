import assert from "node:assert/strict";
import { afterEach, describe, it } from "vitest";
import { type CreateResolverOptions, createResolver, DiscoveryError, type Evidence } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { scriptedRegistry, snapshot } from "../fakes/scripted-registry.js";

const THREE = [3_000, 3_001, 3_002];

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe("a service whose registry is back after a minute, and lists one of three", () => {
  it("goes on calling all who answer, until they are listed again", async () => {
    const { clock, away, back, picked, orders } = await start({ finds: "alive" });
    await away(60_000);
    await back(snapshot(2, [3_001]));
    assert.deepEqual(picked(), THREE);
    assert.equal(orders.snapshot.suspects.length, 2);
    assert.match(String(orders.explain()), /3 of 3 usable.* 2 no longer listed, kept in doubt/);
    await back(snapshot(3, THREE));
    await clock.advance(60_000);
    assert.deepEqual([picked(), orders.snapshot.suspects], [THREE, []]);
  });

  it("calls no longer whoever is found dead, and lets it go within seconds", async () => {
    for (const finds of ["refused", "unknown"] as const) {
      const { clock, away, back, picked, orders } = await start({ finds });
      await away(60_000);
      await back(snapshot(2, [3_001]));
      assert.deepEqual(picked(), [3_001], finds);
      await clock.advance(5_100);
      assert.equal(orders.instances().length, finds === "refused" ? 1 : 3, finds);
      await clock.advance(25_000);
      assert.equal(orders.instances().length, 1, finds);
    }
  });

  it("knocks again where a call found nobody, and lets the dead go within seconds of it", async () => {
    let finds: Evidence = "alive";
    const { clock, away, back, orders } = await start({ probe: async () => finds });
    await away(60_000);
    await back(snapshot(2, [3_001]));
    finds = "refused";
    await clock.advance(6_000);
    assert.equal(orders.instances().length, 3, "nobody was called");
    for (const endpoint of orders.endpoints) {
      if (endpoint.instance.port !== 3_001) endpoint.settle("refused", 1, clock.now());
    }
    await clock.advance(5_100);
    assert.deepEqual(
      orders.instances().map(({ port }) => port),
      [3_001],
    );
  });

  it("gives up none of the living before the registry was asked once more", async () => {
    const { clock, scripted, away, back, orders } = await start({ finds: "alive", refreshMs: 40_000 });
    const gone: number[] = [];
    orders.on("changed", ({ difference }) => gone.push(difference.removed.length));
    await away(60_000);
    await back(snapshot(2, [3_001]));
    await clock.advance(29_000);
    scripted.list = async () => snapshot(3, THREE); // which nobody pushes
    await clock.advance(91_000);
    assert.deepEqual([gone, orders.snapshot.suspects], [[], []]);
  });

  it("prefers the listed to the doubted when they are as many as before: those are others on old addresses", async () => {
    const { away, back, picked } = await start({ finds: "alive" });
    await away(60_000);
    await back(snapshot(2, [4_000, 4_001, 4_002]));
    assert.deepEqual(picked(), [4_000, 4_001, 4_002]);
  });

  it("keeps all who answer when the registry has gone away again meanwhile, however long", async () => {
    const { away, back, picked, clock } = await start({ finds: "alive" });
    await away(60_000);
    await back(snapshot(2, [3_001]));
    await away(3_600_000);
    assert.deepEqual(picked(), THREE);
    await back(snapshot(3, THREE));
    await clock.advance(60_000);
    assert.deepEqual(picked(), THREE);
  });

  it("believes it where it was told to believe everything", async () => {
    const { away, back, orders } = await start({ massLoss: false });
    await away(60_000);
    await back(snapshot(2, [3_001]));
    assert.equal(orders.instances().length, 1);
  });

  it("doubts nothing when its own machine slept: others could reach the registry all the while", async () => {
    const { clock, orders, say } = await start();
    clock.setWall(clock.wall() + 7_200_000);
    await say(snapshot(2, [3_001]));
    await clock.advance(1_000);
    assert.equal(orders.instances().length, 1);
  });

  it("doubts nothing when it asked for nothing meanwhile", async () => {
    const { clock, orders, picked, say, away } = await start({ idleMs: 60_000, refreshMs: 20_000 });
    await clock.advance(3_600_000);
    await say(snapshot(2, [3_001]));
    assert.equal(orders.instances().length, 3, "it rests");
    const gone = away(2_000);
    picked();
    await gone;
    await say(snapshot(2, [3_001]));
    assert.equal(orders.instances().length, 1);
  });
});

describe("an outage between two pulls that breaks no watch", () => {
  it("costs no call: those who are still listed are called until the others are back", async () => {
    const { clock, picked, back, orders } = await start({ finds: "alive" });
    await clock.advance(25_000);
    await back(snapshot(2, [3_001]));
    assert.deepEqual([picked(), orders.snapshot.suspects], [[3_001], []]);
    await back(snapshot(3, THREE));
    assert.deepEqual(picked(), THREE);
  });

  it("is noticed where pulls come twice in a ttl", async () => {
    const { away, picked, back } = await start({ finds: "alive", refreshMs: 15_000 });
    await away(25_000);
    await back(snapshot(2, [3_001]));
    assert.deepEqual(picked(), THREE);
  });
});

describe("what is no outage", () => {
  it("is a watch that cannot be had where lists can", async () => {
    const { clock, orders, scripted } = await start({ refreshMs: 30_000 });
    scripted.breakWatch();
    await clock.advance(120_000);
    scripted.list = async () => snapshot(2, [3_001]);
    await clock.advance(40_000);
    assert.equal(orders.instances().length, 1);
  });

  it("is a registry that has nothing to say", async () => {
    const { clock, orders, say } = await start({ refreshMs: 3_600_000 });
    await clock.advance(34_000); // a watch may be quiet for 35 s
    await say(snapshot(2, [3_001]));
    assert.equal(orders.instances().length, 1);
  });
});

type Options = Partial<CreateResolverOptions> & { finds?: Evidence };

async function start({ finds = "unknown", ...options }: Options = {}) {
  const clock = new ManualClock();
  const scripted = scriptedRegistry();
  scripted.list = async () => snapshot(1, THREE);
  const probe = async (): Promise<Evidence> => finds;
  const resolver = createResolver({ registry: scripted.registry, clock, random: () => 0.5, probe, ...options });
  opened.push(resolver);
  const orders = resolver.service("orders");
  await clock.advance(10);
  const say = async (update: ReturnType<typeof snapshot>): Promise<void> => {
    scripted.list = async () => update;
    scripted.push(update);
    await clock.advance(10);
  };
  return {
    clock,
    scripted,
    resolver,
    orders,
    say,
    away: async (ms: number): Promise<void> => {
      scripted.list = async () => {
        throw new DiscoveryError("UNAVAILABLE", "connect ECONNREFUSED");
      };
      await clock.advance(ms);
    },
    back: say,
    picked: () => [...new Set(Array.from({ length: 30 }, () => orders.pickNow().instance.port))].sort(),
  };
}
