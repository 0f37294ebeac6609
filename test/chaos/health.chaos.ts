import assert from "node:assert/strict";
import { setTimeout as pass } from "node:timers/promises";
import { afterEach, beforeEach, describe, it } from "vitest";
import { type Discovery, http, type ServiceClient } from "../../src/index.js";
import { get, SECONDS, tell, underLoad, until } from "./load.js";
import { type Actor, Stage } from "./stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.close());

describe("a provider whose /health answers 500", () => {
  it("is unlisted because its probes failed, and listed again when it is well; no call fails", async () => {
    await stage.registry();
    const providers = await stage.providers(4, { isChecked: true });
    const orders = await stage.consumer(4);
    const [sick] = providers as [Actor];
    const reasons = reasonsAt(stage.registryUrl);
    let gone = 0;
    let back = 0;
    let over = false;
    const load = await underLoad(orders, 300, () => over, get(orders), {
      1: async () => {
        sick.child.send({ isHealthy: false });
        gone = await until(() => !isListed(orders, sick), "That the sick one is unlisted");
        sick.child.send({ isHealthy: true });
        back = await until(() => isListed(orders, sick), "That it is listed again");
        over = true;
      },
    });
    const seen = await reasons.end();
    tell(
      "health_500",
      load,
      `unlisted ${Math.round(gone)} ms after, with 3 probes a second apart; back ${Math.round(back)} ms after`,
    );
    assert.deepEqual(load.failures, []);
    assert.deepEqual(seen, [`${sick.id} probe_failed`]);
    assert.deepEqual(orders.instances().length, 4);
  });
});

describe("a provider that is paused for longer than its lease", () => {
  it("registers again as soon as it is resumed, and nobody ever sees two of it", async () => {
    const ttlMs = 3_000;
    await stage.registry();
    const providers = await stage.providers(4, { ttlMs });
    const orders = await stage.consumer(4, { tryTimeoutMs: 1_000 });
    const [zombie] = providers as [Actor];
    const before = incarnationOf(orders, zombie);
    const doubles: string[] = [];
    orders.on("changed", ({ snapshot: { instances } }) => {
      if (new Set(instances.map(({ port }) => port)).size < instances.length) doubles.push(String(instances.length));
    });
    let goneMs = 0;
    let backMs = 0;
    let over = false;
    const load = await underLoad(orders, 300, () => over, get(orders), {
      1: async () => {
        zombie.child.kill("SIGSTOP");
        goneMs = await until(() => !isListed(orders, zombie), "That it expires");
        await pass(ttlMs);
        zombie.child.kill("SIGCONT");
        backMs = await until(() => isListed(orders, zombie), "That it is listed again");
        await pass(Math.min(2_000, SECONDS * 1_000));
        over = true;
      },
    });
    tell(
      "zombie P-8 R-1",
      load,
      `expired ${Math.round(goneMs)} ms after, with a ttl of ${ttlMs} ms; back ${Math.round(backMs)} ms after it was resumed`,
    );
    assert.deepEqual(load.failures, []);
    assert.deepEqual(doubles, []);
    assert.notEqual(incarnationOf(orders, zombie), before);
    assert.ok(backMs < 3_000, "a second, and what a busy machine adds");
  });
});

function isListed(orders: ServiceClient, { id }: Actor): boolean {
  return orders.instances().some((instance) => instance.id === id);
}

function incarnationOf(orders: ServiceClient, { id }: Actor): unknown {
  return orders.instances().find((instance) => instance.id === id)?.incarnation;
}

/** Why instances leave, as the registry tells it on its wire. */
function reasonsAt(url: string): { end(): Promise<readonly string[]> } {
  const registry: Discovery = http({ url });
  const halt = new AbortController();
  const seen: string[] = [];
  const listening = (async () => {
    for await (const update of registry.watch?.("orders", { signal: halt.signal }) ?? []) {
      if (update.type === "change") seen.push(...update.removed.map(({ id, reason }) => `${id} ${reason}`));
    }
  })().catch(() => {}); // it is cut off at the end
  return {
    end: async () => {
      halt.abort();
      await listening;
      await registry.close();
      return seen;
    },
  };
}
