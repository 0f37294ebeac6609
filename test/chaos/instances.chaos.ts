import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, it } from "vitest";
import { drained, get, outOf, tell, underLoad, until } from "./load.js";
import { type Actor, kill, Stage } from "./stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.close());

describe("with four instances under load, no call fails", () => {
  it("when one is killed", async () => {
    const { orders, providers } = await cast(4);
    const victim = providers[0] as Actor;
    const out = outOf(orders, victim.id);
    let killedAt = 0;
    const load = await underLoad(orders, 500, 4, get(orders), {
      1: () => {
        killedAt = performance.now();
        victim.child.kill("SIGKILL");
      },
    });
    const wrong = load.retried.filter(({ id }) => id === victim.id);
    const outMs = Math.round(out.at - (wrong[0]?.at ?? Number.NaN));
    tell(
      "kill_one C-4",
      load,
      `${wrong.length} made good elsewhere; out of rotation ${outMs} ms after the first of them`,
    );
    assert.deepEqual(load.failures, []);
    assert.ok(load.calls >= 1_000);
    assert.ok(wrong.length > 0 && out.at > killedAt, "its death was noticed");
    assert.ok(out.picks(load) <= 1, "only trials go there");
  });

  it("when one hangs", async () => {
    const { orders, providers } = await cast(4, { tryTimeoutMs: 250 });
    const victim = providers[0] as Actor;
    const ejected: string[] = [];
    let pausedAt = 0;
    const out = outOf(orders, victim.id);
    orders.on("ejected", ({ instance, cause }) => {
      ejected.push(`${instance.id} ${cause}`);
    });
    const load = await underLoad(orders, 300, 4, get(orders), {
      1: () => {
        pausedAt = performance.now();
        victim.child.kill("SIGSTOP");
      },
    });
    victim.child.kill("SIGCONT");
    const times = load.retried.filter(({ id }) => id === victim.id).length;
    const outMs = Math.round(out.at - pausedAt);
    tell(
      "pause_one C-5",
      load,
      `out of rotation ${outMs} ms after, with 250 ms a try; ${times} calls made good elsewhere`,
    );
    assert.deepEqual(load.failures, []);
    assert.ok(out.picks(load) <= 1, "only trials go there");
    assert.ok(ejected.includes(`${victim.id} failing`), String(ejected));
    assert.deepEqual(
      ejected.filter((each) => !each.startsWith(victim.id)),
      [],
    );
  });

  it("when one is killed and comes back on the same port", async () => {
    const { orders, providers } = await cast(4);
    const victim = providers[0] as Actor;
    let back: Actor | undefined;
    const load = await underLoad(orders, 300, 5, get(orders), {
      1: async () => {
        await kill(victim.child);
        back = await stage.provider({ port: victim.port });
      },
    });
    assert.deepEqual(load.failures, []);
    assert.equal(back?.id, victim.id);
    assert.ok(
      orders.endpoints.find(({ instance }) => instance.id === victim.id)?.ejection.cause === undefined,
      "it is back in rotation",
    );
  });

  it("when bodies are streamed to instances that are gone", async () => {
    const { orders, providers } = await cast(2);
    await kill((providers[0] as Actor).child);
    const post = () => orders.request("/", { method: "POST", body: Readable.from(["a", "b"]) }).then(drained);
    const load = await underLoad(orders, 200, 2, post);
    assert.deepEqual(load.failures, []);
  });

  it("when this process stands still for a second, and nobody is blamed for it", async () => {
    const { orders } = await cast(4, { tryTimeoutMs: 250 });
    const ejected: string[] = [];
    orders.on("ejected", ({ instance }) => ejected.push(instance.id));
    let slowest = 0;
    const load = await underLoad(orders, 300, 3, get(orders), {
      1: () => {
        const until = performance.now() + 1_000;
        while (performance.now() < until);
      },
      2.5: () => {
        slowest = Math.max(...orders.endpoints.map(({ load: { latencyMs } }) => latencyMs));
      },
    });
    assert.deepEqual(load.failures, []);
    assert.deepEqual(ejected, []);
    assert.deepEqual(load.retried, []);
    assert.ok(slowest < 250, `a latency of ${slowest} ms was taken from the standstill`);
  });
});

describe("a registry that is killed and comes back with an empty memory", () => {
  it("costs no call, and everybody is visible again soon", async () => {
    const { orders, providers, registry } = await cast(3);
    const port = Number(new URL(stage.registryUrl).port);
    const { epoch } = orders.snapshot;
    let visibleMs = -1;
    const load = await underLoad(orders, 300, 8, get(orders), {
      1: async () => {
        await kill(registry);
        await stage.registry(port);
        visibleMs = await until(() => orders.snapshot.epoch !== epoch && orders.snapshot.suspects.length === 0);
      },
    });
    tell("registry_restart_empty C-1 P-1", load, `all visible again after ${Math.round(visibleMs)} ms`);
    assert.deepEqual(load.failures, []);
    assert.equal(orders.instances().length, providers.length);
    assert.ok(visibleMs > 0);
  });

  it("is missed by nobody while it is away", async () => {
    const { orders, registry } = await cast(3);
    await kill(registry);
    const load = await underLoad(orders, 300, 4, get(orders));
    assert.deepEqual(load.failures, []);
    assert.equal(orders.instances().length, 3);
  });
});

async function cast(count: number, options: { tryTimeoutMs?: number } = {}) {
  const registry = await stage.registry();
  const providers = await stage.providers(count);
  const orders = await stage.consumer(count, options);
  return { registry, providers, orders };
}
