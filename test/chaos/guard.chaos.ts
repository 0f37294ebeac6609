import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "vitest";
import type { ServiceClient } from "../../src/index.js";
import { createRegistryServer } from "../../src/server/index.js";
import { get, underLoad, until } from "./load.js";
import { type Actor, kill, Stage } from "./stage.js";

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

  it("goes on calling everybody when all turn failed at once, and lets them go once they are really dead", async () => {
    const liar = await stage.liar();
    const providers = await stage.providers(4, { ttlMs: TTL_MS });
    const orders = await stage.consumer(4);
    const told: string[] = [];
    orders.on("suspected", ({ instances }) => told.push(`suspected ${instances.length}`));
    orders.on("cleared", ({ back, gone }) => told.push(`cleared +${back.length} -${gone.length}`));
    const load = await underLoad(orders, 300, 6 * (TTL_MS / 1_000), get(orders), { 1: () => liar.tell("failed") });
    assert.deepEqual(load.failures, []);
    assert.deepEqual(told, ["suspected 4"]);
    assert.deepEqual(statusesOf(orders), ["healthy"]);
    await Promise.all(providers.map(({ child }) => kill(child)));
    const goneMs = await until(() => statusesOf(orders)[0] === "failed" && told.length > 1);
    const said = `${load.calls} calls, ${load.failures.length} failed, all doubted for 5 ttls`;
    console.info(`all_failed C-3: ${said}; believed ${Math.round(goneMs)} ms after they died, ttl ${TTL_MS} ms`);
    assert.deepEqual(told, ["suspected 4", "cleared +0 -4"]);
    await assert.rejects(get(orders)());
  });

  it("serves everybody through other lies, and doubts nobody once the truth is told again", async () => {
    const liar = await stage.liar();
    await stage.providers(4, { ttlMs: TTL_MS });
    const orders = await stage.consumer(4);
    for (const lie of ["expired", "unauthorized", "corrupt"] as const) {
      const load = await underLoad(orders, 200, 4, get(orders), { 0.5: () => liar.tell(lie) });
      assert.deepEqual([load.failures, orders.instances().length], [[], 4], lie);
      await liar.tell(null);
      const backMs = await until(() => orders.snapshot.suspects.length === 0, `That nobody is in doubt after ${lie}`);
      console.info(
        `lie ${lie} C-3: ${load.calls} calls, ${load.failures.length} failed, true ${Math.round(backMs)} ms after`,
      );
      assert.deepEqual([statusesOf(orders), orders.instances().length], [["healthy"], 4], lie);
    }
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

/** The statuses there are, each once. */
function statusesOf(orders: ServiceClient): readonly string[] {
  return [...new Set(orders.instances().map(({ status }) => status))];
}
