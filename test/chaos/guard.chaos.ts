import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "vitest";
import { createRegistryServer } from "../../src/server/index.js";
import { get, underLoad, until } from "./load.js";
import { type Actor, Stage } from "./stage.js";

const TTL_MS = 3_000;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.close());

describe("the guard, with real processes (C-3)", () => {
  it("keeps a working service that a registry without rights, or without memory, no longer names, for many ttls", async () => {
    await stage.registry();
    await stage.providers(3, { ttlMs: TTL_MS });
    const proxy = await stage.proxy();
    const empty = createRegistryServer({ port: 0, warmingMs: 0 });
    const url = await empty.listen();
    const orders = await stage.consumer(3);
    const suspected: number[] = [];
    orders.on("suspected", ({ instances }) => suspected.push(instances.length));
    const load = await underLoad(orders, 300, 6 * (TTL_MS / 1_000), get(orders), {
      1: () => {
        proxy.target = url; // it answers, and is sure of itself: nobody is there
        proxy.cut();
      },
    });
    await empty.close();
    console.info(`obeyed_nobody C-3: ${load.calls} calls, ${load.failures.length} failed, ${suspected} doubted`);
    assert.deepEqual(load.failures, []);
    assert.equal(orders.instances().length, 3);
    assert.deepEqual(suspected, [3]);
  });

  it("does not keep the last instance once that is really dead", async () => {
    await stage.registry(); // it still warms up, and is believed all the same: it saw them itself
    const [last] = await stage.providers(1, { ttlMs: TTL_MS });
    const orders = await stage.consumer(1);
    const cleared: string[] = [];
    orders.on("cleared", ({ gone }) => cleared.push(...gone.map(({ id }) => id)));
    const { child, id } = last as Actor;
    child.kill("SIGKILL");
    const goneMs = await until(() => orders.instances().length === 0);
    console.info(`last_dead C-3: gone after ${Math.round(goneMs)} ms, ttl ${TTL_MS} ms`);
    assert.deepEqual(cleared, [id]);
    assert.equal(orders.snapshot.warming, true);
    await assert.rejects(get(orders)(), { code: "NO_INSTANCES" });
  });
});
