import assert from "node:assert/strict";
import { setTimeout as pass } from "node:timers/promises";
import { afterEach, beforeEach, describe, it } from "vitest";
import type { ServiceClient } from "../../src/index.js";
import { block, get, tell, underLoad } from "./load.js";
import { type Actor, kill, Stage } from "./stage.js";

const INSTANCES = 4;
/** For so long nobody is there, in milliseconds: less than a lease, so that the registry lists them all the while. */
const AWAY_MS = 4_000;
/** Whoever is back gets its calls within this, in milliseconds. */
const RECOVERED_MS = 2_000;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.close());

describe("backends_restart", () => {
  it("fails no call when all are killed one after another, and each has its share again", async () => {
    const { orders, providers } = await cast();
    let over = false;
    let before: Counts = new Map();
    const load = await underLoad(orders, 300, () => over, get(orders), {
      1: async () => {
        for (const { child, port } of providers) {
          await kill(child);
          await stage.provider({ port });
        }
        await pass(RECOVERED_MS);
        before = countsOf(orders);
        await pass(2_000);
        over = true;
      },
    });
    const shares = sharesSince(orders, before);
    tell("backends_restart C-6", load, `of the last 2 s each had ${shares.map((share) => `${share} %`).join(", ")}`);
    assert.deepEqual(load.failures, []);
    assert.equal(shares.length, INSTANCES);
    assert.ok(Math.min(...shares) >= 20, "a fair share is 25 %");
  });

  it("fails every call with a reason while all are gone, and none two seconds after they are back", async () => {
    const { orders, providers } = await cast();
    let killedAt = 0;
    let backAt = 0;
    let over = false;
    const load = await underLoad(orders, 300, () => over, get(orders), {
      1: async () => {
        killedAt = performance.now();
        await Promise.all(providers.map(({ child }) => kill(child)));
        await pass(AWAY_MS);
        await Promise.all(providers.map(({ port }) => stage.provider({ port })));
        backAt = performance.now();
        await pass(RECOVERED_MS + 3_000);
        over = true;
      },
    });
    const lastFailedMs = Math.max(0, ...load.failures.map(({ sentAt }) => sentAt - backAt));
    const codes = [...new Set(load.failures.map(({ code }) => code))].join(", ");
    tell(
      "backends_restart, all at once C-6",
      load,
      `${codes}; none sent over ${Math.round(lastFailedMs)} ms after they were back`,
    );
    assert.deepEqual(block(load, 0, killedAt - 500).failures, []); // what was sent later may have been in flight
    const away = block(load, killedAt + 500, killedAt + AWAY_MS);
    assert.equal(away.failures.length, away.calls, "nobody was there to answer");
    for (const { code, message } of load.failures) {
      assert.ok(code === "UNAVAILABLE" || code === "NO_INSTANCES", message);
      assert.match(message, /orders/);
    }
    const after = block(load, backAt + RECOVERED_MS);
    assert.ok(after.calls > 500);
    assert.deepEqual(after.failures, []);
  });
});

type Counts = ReadonlyMap<string, number>;

async function cast(): Promise<{ orders: ServiceClient; providers: readonly Actor[] }> {
  await stage.registry();
  const providers = await stage.providers(INSTANCES);
  return { providers, orders: await stage.consumer(INSTANCES) };
}

function countsOf(orders: ServiceClient): Counts {
  return new Map(orders.endpoints.map(({ instance, load }) => [instance.id, load.calls]));
}

/** Whole percents of the calls made since, by instance. */
function sharesSince(orders: ServiceClient, before: Counts): readonly number[] {
  const made = orders.endpoints.map(({ instance, load }) => load.calls - (before.get(instance.id) ?? 0));
  const all = made.reduce((sum, count) => sum + count, 0);
  return made.map((count) => Math.round((count / all) * 100));
}
