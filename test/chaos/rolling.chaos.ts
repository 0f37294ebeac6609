import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "vitest";
import { get, tell, underLoad } from "./load.js";
import { type Actor, ended, type Role, Stage } from "./stage.js";

const INSTANCES = 4;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.close());

describe("a rolling restart of every instance at 500 calls a second, with retries off", () => {
  it("fails no call, and takes no longer than it must", async () => {
    const { load, leavingMs } = await rollingRestart({});
    tell("rolling_restart P-5", load, `each left within ${leavingMs.join(", ")} ms`);
    assert.deepEqual(load.failures, []);
    assert.equal(leavingMs.length, INSTANCES);
    assert.ok(Math.max(...leavingMs) < 5_000, "nobody waited for a time when acknowledgements were there");
  });

  it("fails no call either where nobody acknowledges: each one waits its five seconds", async () => {
    const { load, leavingMs } = await rollingRestart({ isBlind: true });
    tell("rolling_restart P-5, blind", load, `each left within ${leavingMs.join(", ")} ms`);
    assert.deepEqual(load.failures, []);
    assert.ok(Math.min(...leavingMs) >= 5_000);
  });
});

async function rollingRestart(role: Role) {
  await stage.registry();
  const providers = await stage.providers(INSTANCES, role);
  const orders = await stage.consumer(INSTANCES, { tries: 1 });
  const leavingMs: number[] = [];
  let over = false;
  const load = await underLoad(orders, 500, () => over, get(orders), {
    1: async () => {
      for (const provider of providers) leavingMs.push(await restart(provider, role));
      over = true;
    },
  });
  return { load, leavingMs };
}

/** Asks one to leave, and starts its successor on the same port; says how long it took to leave. */
async function restart({ child, port }: Actor, role: Role): Promise<number> {
  const askedAt = performance.now();
  const code = await ended(child, "SIGTERM");
  const leftMs = performance.now() - askedAt;
  assert.equal(code, 0, "it ends by itself");
  await stage.provider({ ...role, port });
  return Math.round(leftMs);
}
