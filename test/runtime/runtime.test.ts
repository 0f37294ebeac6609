import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "vitest";
import { DiscoveryError } from "../../src/index.js";
import { systemClock } from "../../src/runtime/clock.js";
import { within } from "../../src/runtime/deadline.js";
import { Emitter } from "../../src/runtime/emitter.js";
import { knownKeys } from "../../src/runtime/options.js";
import { backoff, RECONNECT, retrying } from "../../src/runtime/retry.js";
import { ManualClock } from "../../src/testing/index.js";

describe("the system clock", () => {
  it("lets a late timer see first what came in meanwhile", async () => {
    const order: string[] = [];
    const done = new Promise<void>((resolve) => {
      systemClock.schedule(1, () => {
        order.push("timer");
        resolve();
      });
    });
    setImmediate(() => order.push("what came in"));
    const until = performance.now() + 80;
    while (performance.now() < until); // this process stands still
    const before = systemClock.stalledAt;
    await done;
    assert.deepEqual(order, ["what came in", "timer"]);
    assert.ok(systemClock.stalledAt > before);
  });

  it("cancels even a timer that is late already", async () => {
    let ran = false;
    const cancel = systemClock.schedule(1, () => {
      ran = true;
    });
    setImmediate(cancel);
    const until = performance.now() + 80;
    while (performance.now() < until);
    await systemClock.sleep(20);
    assert.equal(ran, false);
  });

  it("sleeps until the signal aborts, and leaves no listener", async () => {
    const halt = new AbortController();
    const asleep = systemClock.sleep(60_000, halt.signal);
    halt.abort(new Error("mine"));
    await assert.rejects(asleep, /mine/);
    const awake = new AbortController();
    await systemClock.sleep(1, awake.signal);
    assert.equal(getEventListeners(awake.signal, "abort").length, 0);
  });
});

describe("within", () => {
  it("says TIMEOUT at the limit and tells the task", async () => {
    const clock = new ManualClock();
    const outer = new AbortController();
    let told: AbortSignal | undefined;
    const task = within("the test", 100, { clock, signal: outer.signal }, (signal) => {
      told = signal;
      return new Promise(() => {});
    });
    const failed = assert.rejects(task, (error) => DiscoveryError.is(error, "TIMEOUT"));
    await clock.advance(100);
    await failed;
    assert.equal(told?.aborted, true);
    assert.equal(getEventListeners(outer.signal, "abort").length, 0);
    assert.equal(clock.pending, 0);
  });

  it("passes the caller's own abort through untouched", async () => {
    const outer = new AbortController();
    const task = within(
      "the test",
      100,
      { clock: new ManualClock(), signal: outer.signal },
      () => new Promise(() => {}),
    );
    outer.abort("mine");
    await assert.rejects(task, (error) => error === "mine");
  });
});

describe("retrying", () => {
  it("tries again what may succeed later, on our clock, and not what cannot", async () => {
    const clock = new ManualClock();
    const scope = { clock, random: () => 1, signal: new AbortController().signal };
    const codes = ["UNAVAILABLE", "TIMEOUT"] as const;
    let tries = 0;
    const done = retrying({ ...RECONNECT, tries: 3 }, scope, async () => {
      const code = codes[tries++];
      if (code) throw new DiscoveryError(code, "later");
      return "done";
    });
    await clock.advance(500);
    assert.equal(tries, 2);
    await clock.advance(800);
    assert.equal(await done, "done");
    const never = retrying({ ...RECONNECT, tries: 3 }, scope, async () => {
      tries++;
      throw new DiscoveryError("REJECTED", "never");
    });
    await assert.rejects(never, (error) => DiscoveryError.is(error, "REJECTED"));
    assert.equal(tries, 4);
  });

  it("grows its pauses to the cap and spreads them over all of it", () => {
    assert.equal(
      backoff(RECONNECT, 1, () => 1),
      500,
    );
    assert.equal(
      backoff(RECONNECT, 2, () => 1),
      800,
    );
    assert.equal(
      backoff(RECONNECT, 1_000, () => 1),
      30_000,
    );
    assert.equal(
      backoff(RECONNECT, 5, () => 0),
      0,
    );
  });
});

describe("an emitter", () => {
  it("calls everybody although one throws and one rejects, and says so", async () => {
    const emitter = new Bell();
    const heard: string[] = [];
    emitter.on("rang", () => {
      throw new Error("first");
    });
    emitter.on("rang", (async () => Promise.reject(new Error("second"))) as () => void);
    emitter.on("rang", ({ times }) => heard.push(`rang ${times}`));
    emitter.on("listenerError", ({ event, error }) => heard.push(`${event}: ${(error as Error).message}`));
    emitter.ring(1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(heard, ["rang: first", "rang 1", "rang: second"]);
  });

  it("forgets whom it is told to forget, and calls once who asked for once", () => {
    const emitter = new Bell();
    const heard: number[] = [];
    const listener = ({ times }: { times: number }): void => void heard.push(times);
    emitter.on("rang", listener);
    emitter.once("rang", ({ times }) => heard.push(-times));
    emitter.ring(1);
    emitter.off("rang", listener);
    emitter.ring(2);
    assert.deepEqual(heard, [1, -1]);
  });
});

describe("knownKeys", () => {
  it("asks whether another was meant", () => {
    assert.throws(
      () => knownKeys("agent", { metdata: {} }, ["metadata", "port"]),
      /agent\.metdata is no option: did you mean metadata\?/,
    );
    assert.throws(() => knownKeys("agent", { zzz: 1 }, ["metadata", "port"]), /known are metadata, port/);
    assert.throws(() => knownKeys("agent", [], ["port"]), /agent must be an object, got an array/);
  });
});

class Bell extends Emitter<{ rang(event: { times: number }): void }> {
  ring(times: number): void {
    this.emit("rang", { times });
  }
}
