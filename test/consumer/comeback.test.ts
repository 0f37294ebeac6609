import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { Comeback } from "../../src/consumer/comeback.js";
import { createResolver, DiscoveryError } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { scriptedRegistry, snapshot } from "../fakes/scripted-registry.js";

describe("those who wait for a registry", () => {
  it("ask in turns, one at a time, and all stop when one is answered", async () => {
    const { clock, asked, wait, comeback } = start();
    let answers = false;
    for (const name of ["a", "b", "c"])
      wait(name, async () => {
        await clock.sleep(3_000); // silent for so long
        if (!answers) throw new Error("away");
        comeback.heard();
      });
    await clock.advance(12_900);
    assert.deepEqual(asked, ["a 500", "b 3500", "c 6500", "a 9500", "b 12777"]);
    answers = true;
    await clock.advance(10_000);
    assert.deepEqual(asked.slice(5), ["b back 15777", "c back 16177", "a back 16177"]);
    assert.equal(clock.pending, 0);
  });

  it("ask no more than one in five seconds, each", async () => {
    const { clock, asked, wait } = start();
    wait("a", away);
    await clock.advance(600_000);
    assert.ok(asked.length >= 120 && asked.length <= 126, `${asked.length}`);
  });

  it("leave their turn to the others when they want no more", async () => {
    const { clock, asked, wait } = start();
    const left = wait("a", away);
    wait("b", away);
    await clock.advance(100);
    left.abort();
    await clock.advance(500);
    assert.deepEqual(asked, ["a back 100", "b 500"]);
  });

  it("give a registry the time it asks for, up to half a minute", async () => {
    for (const [askedMs, nextMs] of [
      [20_000, 20_500],
      [3_600_000, 30_500],
    ] as const) {
      const { clock, asked, wait } = start();
      wait("a", async () => {
        throw new DiscoveryError("OVERLOADED", "later", { retryAfterMs: askedMs });
      });
      await clock.advance(nextMs);
      assert.deepEqual(asked, ["a 500", `a ${nextMs}`]);
    }
  });
});

describe("a registry that asks for what is no time", () => {
  it("is asked no sooner for it", async () => {
    const { clock, asked, wait } = start();
    wait("a", async () => {
      throw new DiscoveryError("OVERLOADED", "later", { retryAfterMs: Number.NaN });
    });
    await clock.advance(1_400);
    assert.deepEqual(asked, ["a 500", "a 1300"]);
  });
});

describe("a service whose list fails where that of others can be had", () => {
  for (const [what, retryAfterMs, most] of [
    ["later each time, up to half a minute", undefined, 70],
    ["no sooner than it was told to", 20_000, 30],
  ] as const)
    it(`asks ${what}`, async () => {
      const clock = new ManualClock();
      const scripted = scriptedRegistry();
      scripted.list = async () => snapshot(1, [3_000]);
      const asked: string[] = [];
      const registry = {
        ...scripted.registry,
        capabilities: { ...scripted.registry.capabilities, watch: "none" as const },
        watch: undefined,
        list: async (service: string): Promise<ReturnType<typeof snapshot>> => {
          asked.push(service);
          if (service === "sick") throw new DiscoveryError("UNAVAILABLE", "500", { retryAfterMs });
          return snapshot(1, [3_000]);
        },
      };
      const resolver = createResolver({ registry: registry as never, clock, random: () => 0.9, refreshMs: 10_000 });
      for (const name of ["sick", "sound", "well"]) resolver.service(name).on("changed", () => {});
      await clock.advance(600_000);
      asked.length = 0;
      await clock.advance(600_000);
      const sick = asked.filter((name) => name === "sick").length;
      assert.ok(sick >= 10 && sick <= most, `${sick} questions`);
      await resolver.close();
    });
});

async function away(): Promise<never> {
  throw new DiscoveryError("UNAVAILABLE", "connect ECONNREFUSED");
}

function start() {
  const clock = new ManualClock(0);
  const comeback = new Comeback();
  const asked: string[] = [];
  const wait = (name: string, knock: () => Promise<void>): AbortController => {
    const left = new AbortController();
    const scope = { clock, random: () => 1, signal: left.signal };
    const turn = (): Promise<void> => {
      asked.push(`${name} ${Math.round(clock.now())}`);
      return knock();
    };
    void comeback.wait(scope, turn).then(() => asked.push(`${name} back ${Math.round(clock.now())}`));
    return left;
  };
  return { clock, comeback, asked, wait };
}
