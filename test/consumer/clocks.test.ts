import assert from "node:assert/strict";
import { afterEach, describe, it } from "vitest";
import { createResolver, type InstanceInput, memoryRegistry } from "../../src/index.js";
import { defineInstance } from "../../src/model/instance.js";
import { ManualClock } from "../../src/testing/index.js";

const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;
/** What a wall clock may do, told by its own time and by the second that has passed. */
const WALLS: Readonly<Record<string, (wall: number, second: number) => number>> = {
  "jumps an hour ahead and back": (wall, second) => wall + (second % 2 === 0 ? HOUR_MS : -HOUR_MS),
  "jumps ten years ahead and back": (wall, second) => wall + (second % 2 === 0 ? 10 * YEAR_MS : -10 * YEAR_MS),
  "stands still": (wall) => wall - 1_000,
  "runs at half the speed": (wall) => wall - 500,
  "runs at twice the speed": (wall) => wall + 1_000,
};

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

describe("a wall clock that is wrong", () => {
  for (const [what, set] of Object.entries(WALLS)) {
    it(`and ${what} ejects nobody, and moves no pause, no expiry and no end of a doubt`, async () => {
      const expected = await lifeUnder((wall) => wall);
      const kinds = new Set(expected.map((event) => event.split(" ")[1]));
      assert.deepEqual([...kinds].sort(), ["called", "ejected", "gone", "suspected"]);
      assert.deepEqual(await lifeUnder(set), expected);
    });
  }
});

/**
 * Two minutes of a registry and a consumer: one beats all the while; one refuses a call and is tried again; one stops
 * beating and expires as the last of its service. What befell them, and when, in monotonic seconds.
 */
async function lifeUnder(set: (wall: number, second: number) => number): Promise<readonly string[]> {
  const clock = new ManualClock();
  const begun = clock.now();
  const registry = memoryRegistry({ clock, random: () => 0.5, warmingMs: 0 });
  const resolver = createResolver({ registry, clock, random: () => 0.5, probe: async () => "unknown" });
  opened.push(registry, resolver);
  const { signal } = new AbortController();
  const beating = await registry.register(defineInstance(named("orders", 1)), { ttlMs: 30_000, signal });
  await registry.register(defineInstance(named("orders", 2)), { ttlMs: 10 * HOUR_MS, signal });
  await registry.register(defineInstance(named("silent", 3)), { ttlMs: 20_000, signal });
  const [orders, silent] = [resolver.service("orders"), resolver.service("silent")];
  const events: string[] = [];
  const note = (what: string): void => void events.push(`${Math.round(clock.now() - begun)} ${what}`);
  orders.on("ejected", ({ instance: { port } }) => note(`ejected ${port}`));
  silent.on("suspected", ({ instances }) => note(`suspected ${instances.length}`));
  silent.on("cleared", ({ gone }) => note(`gone ${gone.length}`));
  await clock.advance(1_000);
  let outcome: "refused" | "success" = "refused";
  for (let second = 1; second <= 120; second++) {
    clock.setWall(set(clock.wall(), second));
    await clock.advance(1_000);
    if (second % 10 === 0) await registry.renew([{ lease: beating }]);
    const picked = orders.pickNow();
    const isTwo = picked.instance.port === 2;
    if (isTwo && second < 20) note(`called 2: ${outcome}`);
    picked.report(isTwo ? outcome : "success");
    picked.release();
    if (isTwo) outcome = "success";
  }
  assert.equal(orders.instances().length, 2);
  return events;
}

function named(service: string, port: number): InstanceInput {
  return { service, host: "127.0.0.1", port };
}
