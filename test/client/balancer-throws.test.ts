import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { Call } from "../../src/client/call.js";
import type { Caller } from "../../src/client/caller.js";
import { Deadlines } from "../../src/client/deadlines.js";
import type { Handler } from "../../src/client/handler.js";
import type { Pools } from "../../src/client/pools.js";
import { RetryBudget } from "../../src/client/retry-budget.js";
import { LagWatch } from "../../src/runtime/lag.js";
import { ManualClock } from "../../src/testing/index.js";
import { crowd } from "../balancer/crowd.js";

const SETTINGS = { timeoutMs: 30_000, tryTimeoutMs: 5_000, tries: 3 };

describe("a call that waits for a file handle", () => {
  it("fails, and the process goes on, where the balancer throws after the pause", async () => {
    const clock = new ManualClock();
    const short = Object.assign(new Error("too many open files"), { code: "EMFILE" });
    const dispatcher = { dispatch: (_: unknown, handler: Handler) => handler.onError?.(short) };
    const [endpoint] = crowd(1);
    let picks = 0;
    const caller: Caller = {
      name: "orders",
      ground: {
        pools: { of: () => dispatcher } as unknown as Pools,
        deadlines: new Deadlines(clock),
        hedges: new Deadlines(clock),
        retryHeader: undefined,
        lag: new LagWatch(clock),
        clock,
        random: () => 0.5,
      },
      budget: new RetryBudget(),
      hedging: undefined,
      keyOf: () => undefined,
      choose() {
        if (picks++ > 0) throw new Error("out of order");
        return endpoint;
      },
      chooseEventually: () => assert.fail(),
    };
    let failed: unknown;
    const handler: Handler = {
      onError(error) {
        failed = error;
      },
    };
    new Call(caller, { origin: "http://orders", path: "/", method: "GET" }, SETTINGS, handler);
    await clock.advance(250);
    assert.match(String(failed), /out of order/);
  });
});
