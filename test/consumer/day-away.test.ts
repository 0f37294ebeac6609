import assert from "node:assert/strict";
import { afterEach, describe, it } from "vitest";
import { createResolver } from "../../src/index.js";
import { defineInstance } from "../../src/model/instance.js";
import { Xorshift32 } from "../../src/runtime/random.js";
import { ManualClock } from "../../src/testing/index.js";
import { faultyRegistry } from "../fakes/registrar.js";

const HOURS = 24;
/** What one process asks a registry that is away, in a day, at most; see docs/guarantees.md. */
const REQUESTS = { down: 36_000, deaf: 27_000 };
/** No pause is longer than this, in milliseconds. */
const SEEN_MS = 5_100;

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe("a registry that is away for a day", () => {
  for (const [how, mode] of [
    ["refuses", "down"],
    ["is silent", "deaf"],
  ] as const) {
    it(`and ${how} costs no call, no instance and no memory, and is not pressed; then a newcomer is seen`, async () => {
      const { clock, faulty, orders, register, left } = await start();
      faulty.mode = mode;
      await register(3_002); // wakes the stream, which is cut
      faulty.calls.length = 0;
      const timers: number[] = [];
      for (let minute = 0; minute < HOURS * 60; minute++) {
        await clock.advance(60_000);
        const ports = new Set(Array.from({ length: 12 }, () => used(orders.pickNow())));
        assert.deepEqual([...ports].sort(), [3_000, 3_001, 3_002]);
        if (minute % 60 === 59) timers.push(clock.pending);
      }
      assert.deepEqual(left, [], "nobody left the list");
      assert.ok(Math.max(...timers) <= 8, `${timers} timers`);
      assert.ok(faulty.calls.length < REQUESTS[mode], `${faulty.calls.length} requests`);
      assert.ok(faulty.calls.length > HOURS * 60, "it went on asking");
      faulty.mode = "up";
      const back = clock.now();
      await register(3_003);
      while (orders.instances().length < 4) await clock.advance(100);
      assert.ok(clock.now() - back <= SEEN_MS, `seen after ${clock.now() - back} ms`);
      assert.equal(orders.snapshot.suspects.length, 3, "every lease has long ended: all but the newcomer are doubted");
      await clock.advance(500);
      for (const port of [3_000, 3_001, 3_002]) await register(port);
      await clock.advance(10); // they are pushed: the watch has begun again
      assert.deepEqual([left, orders.snapshot.stale, orders.snapshot.suspects], [[], false, []]);
    });
  }
});

function used(selection: {
  readonly instance: { readonly port: number };
  report(o: "success"): void;
  release(): void;
}) {
  selection.report("success");
  selection.release();
  return selection.instance.port;
}

async function start() {
  const clock = new ManualClock();
  const faulty = faultyRegistry(clock);
  const dice = new Xorshift32(24);
  const random = (): number => dice.below(1_000_000) / 1_000_000;
  const resolver = createResolver({ registry: faulty.registry, clock, random });
  opened.push(resolver, { close: () => faulty.memory.close() });
  const orders = resolver.service("orders");
  const left: string[] = [];
  orders.on("changed", ({ difference }) => left.push(...difference.removed.map(({ id }) => id)));
  const register = async (port: number): Promise<void> => {
    const instance = defineInstance({ service: "orders", host: "127.0.0.1", port });
    await faulty.memory.register(instance, { ttlMs: 30_000, signal: new AbortController().signal });
  };
  for (const port of [3_000, 3_001, 3_002]) await register(port);
  await clock.advance(10);
  return { clock, faulty, orders, register, left };
}
