import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { type Evidence, MASS_LOSS } from "../../src/consumer/doubt.js";
import { Membership } from "../../src/consumer/membership.js";
import { Suspicion } from "../../src/consumer/suspicion.js";
import { haltSignal } from "../../src/runtime/deadline.js";
import { ManualClock } from "../../src/testing/index.js";
import { snapshot } from "../fakes/scripted-registry.js";

describe("a suspicion", () => {
  it("knocks at once, asks the registry again after five seconds, and lets the dead go then", async () => {
    const { clock, membership, lose, asked, knocked } = start({ finds: "refused" });
    lose();
    await clock.advance(0);
    assert.equal(knocked.length, 3);
    await clock.advance(4_999);
    assert.deepEqual([asked.length, membership.known.size], [0, 3]);
    await clock.advance(1);
    assert.deepEqual([asked, membership.known.size], [[5_000], 0]);
    assert.equal(clock.pending, 0);
  });

  it("asks the registry about the living only when their time is up, and knocks again every ttl", async () => {
    const { clock, membership, lose, asked, knocked } = start({ finds: "alive" });
    lose();
    await clock.advance(95_000);
    assert.deepEqual([asked, membership.known.size, knocked.length], [[30_000, 60_000, 90_000], 3, 12]);
  });

  it("knocks again, once, at whom calls found trouble, if it was found alive", async () => {
    for (const [finds, knocks] of [
      ["alive", 4],
      ["refused", 3],
      ["unknown", 3],
    ] as const) {
      const { clock, membership, lose, knocked, suspicion } = start({ finds });
      lose();
      await clock.advance(10);
      const [id = ""] = membership.doubted.keys();
      suspicion.lookAgain(id);
      suspicion.lookAgain(id);
      suspicion.lookAgain("somebody else");
      await clock.advance(10);
      assert.equal(knocked.length, knocks, finds);
    }
  });

  it("lets those go after one ttl of whom a probe finds out nothing", async () => {
    const { clock, membership, lose } = start({ finds: "unknown" });
    lose();
    await clock.advance(29_999);
    assert.equal(membership.known.size, 3);
    await clock.advance(1);
    assert.equal(membership.known.size, 0);
  });

  it("takes a probe that throws, or never answers, for one that found nothing out", async () => {
    for (const probe of [() => Promise.reject(new Error("a fault")), () => new Promise<never>(() => {})]) {
      const { clock, membership, lose } = start({ probe });
      lose();
      await clock.advance(30_000);
      assert.equal(membership.known.size, 0);
    }
  });

  it("asks a registry that does not answer no more often than every five seconds", async () => {
    const { clock, lose, asked, membership } = start({ finds: "refused", away: true });
    lose();
    await clock.advance(29_000);
    assert.deepEqual(asked, [5_000, 10_000, 15_000, 20_000, 25_000]);
    assert.equal(membership.known.size, 3);
    await clock.advance(1_000);
    assert.equal(membership.known.size, 0);
  });

  it("knocks at sixteen doors at a time", async () => {
    let open = 0;
    let most = 0;
    const { clock, lose, knocked } = start({
      count: 50,
      probe: async () => {
        most = Math.max(most, ++open);
        await clock.sleep(10);
        open--;
        return "alive";
      },
    });
    lose();
    await clock.advance(1_000);
    assert.deepEqual([most, knocked.length], [16, 50]);
  });

  it("tells what many knocks found together, and not each: the whole service is ranked anew then", async () => {
    const { clock, membership, lose, told } = start({ count: 200, finds: "refused" });
    membership.missed();
    await clock.advance(60_000);
    lose();
    await clock.advance(10);
    assert.equal(membership.below.size, 200);
    assert.equal(told(), 1);
  });

  it("does nothing while the registry warms up, and nothing more once it is over", async () => {
    const { clock, membership, look, knocked, halt } = start({ finds: "refused" });
    membership.apply(snapshot(1, [], true), clock.now());
    look();
    await clock.advance(10_000);
    assert.deepEqual([knocked.length, clock.pending], [0, 0]);
    membership.apply(snapshot(2, []), clock.now());
    look();
    halt.abort();
    await clock.advance(100_000);
    assert.deepEqual([membership.known.size, clock.pending], [3, 0]);
  });
});

function start({
  count = 3,
  finds = "unknown" as Evidence,
  probe = async (): Promise<Evidence> => finds,
  away = false,
} = {}) {
  const clock = new ManualClock();
  const membership = new Membership(MASS_LOSS);
  const halt = haltSignal();
  const asked: number[] = [];
  const knocked: string[] = [];
  let told = 0;
  const begun = clock.now();
  membership.apply(
    snapshot(
      1,
      Array.from({ length: count }, (_, index) => 3_000 + index),
    ),
    begun,
  );
  const suspicion: Suspicion = new Suspicion(
    {
      membership,
      probe: ({ id }) => {
        knocked.push(id);
        return probe();
      },
      confirmMs: MASS_LOSS.confirmMs,
      ask: async () => {
        asked.push(clock.now() - begun);
        if (away) throw new Error("away");
        membership.confirm(clock.now());
      },
      changed: () => {
        told++;
        suspicion.look();
      },
    },
    { clock, random: () => 0.5, signal: halt.signal },
  );
  const look = (): void => suspicion.look();
  const lose = (): void => {
    membership.apply(snapshot(2, []), clock.now());
    look();
  };
  return { clock, membership, suspicion, lose, look, asked, knocked, halt, told: () => told };
}
