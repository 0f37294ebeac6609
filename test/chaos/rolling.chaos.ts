import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "vitest";
import { type Actor, ended, Stage, underLoad } from "./stage.js";

const INSTANCES = 4;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.close());

describe("a rolling restart of every instance at 500 calls a second, with retries off", () => {
  it("fails no call, and takes no longer than it must", async () => {
    const { load, leavingMs } = await rollingRestart([]);
    tell("rolling_restart", load.calls, load.failures, leavingMs);
    assert.deepEqual(load.failures, []);
    assert.equal(leavingMs.length, INSTANCES);
    assert.ok(Math.max(...leavingMs) < 5_000, "nobody waited for a time when acknowledgements were there");
  });

  it("fails no call either where nobody acknowledges: each one waits its five seconds", async () => {
    const { load, leavingMs } = await rollingRestart(["blind"]);
    tell("rolling_restart, blind", load.calls, load.failures, leavingMs);
    assert.deepEqual(load.failures, []);
    assert.ok(Math.min(...leavingMs) >= 5_000);
  });
});

async function rollingRestart(flags: readonly string[]) {
  await stage.registry();
  const providers = await Promise.all(Array.from({ length: INSTANCES }, () => stage.provider(0, flags)));
  const orders = await stage.consumer(INSTANCES, { tries: 1 });
  const leavingMs: number[] = [];
  let over = false;
  const call = async () => {
    const response = await orders.request("/v1/orders/42");
    await response.body.dump();
    return response;
  };
  const load = await underLoad(orders, 500, () => over, call, {
    1: async () => {
      for (const provider of providers) leavingMs.push(await restart(provider, flags));
      over = true;
    },
  });
  return { load, leavingMs };
}

/** Asks one to leave, and starts its successor on the same port; says how long it took to leave. */
async function restart({ child, port }: Actor, flags: readonly string[]): Promise<number> {
  const askedAt = performance.now();
  const code = await ended(child, "SIGTERM");
  const leftMs = performance.now() - askedAt;
  assert.equal(code, 0, "it ends by itself");
  await stage.provider(port, flags);
  return Math.round(leftMs);
}

function tell(name: string, calls: number, failures: readonly string[], leavingMs: readonly number[]): void {
  console.info(`${name}: ${calls} calls, ${failures.length} failed, each left within ${leavingMs.join(", ")} ms`);
}
