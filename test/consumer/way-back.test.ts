import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { createResolver } from "../../src/index.js";
import { defineInstance } from "../../src/model/instance.js";
import { Xorshift32 } from "../../src/runtime/random.js";
import { ManualClock } from "../../src/testing/index.js";
import { faultyRegistry } from "../fakes/registrar.js";

/** Services of a process, and the seeds each is looked at in: two thousand newcomers where there are many. */
const SEEDS = { 1: 200, 10: 200, 50: 40 };
const AWAY_MS = 60_000;
/** By then nearly everybody is seen again, in milliseconds, and all a moment later: the longest knock and what is spread. */
const SEEN = { 1: { p99: 6_000, all: 7_000 }, 10: { p99: 6_000, all: 7_000 }, 50: { p99: 13_000, all: 15_000 } };
/** What a process asks in the first minute, at most on average; when each service asked for itself it was 22, 215 and 1,080. */
const REQUESTS = { 1: 32, 10: 60, 50: 140 };

describe("a newcomer, after a registry was away for a minute", () => {
  for (const [how, mode] of [
    ["refused", "down"],
    ["was silent", "deaf"],
  ] as const) {
    for (const services of [1, 10, 50] as const) {
      it(`is seen within seconds where it ${how}, and ${services} of its services ask no more than a few`, async () => {
        const seen: number[] = [];
        let requests = 0;
        for (let seed = 1; seed <= SEEDS[services]; seed++) {
          const outage = await lived(mode, services, seed);
          seen.push(...outage.seen);
          requests += outage.requests / SEEDS[services];
          assert.ok(outage.crowd <= 2 * services, `${outage.crowd} requests in a tenth of a second`);
        }
        seen.sort((a, b) => a - b);
        const [p50, p90, p99, all] = [0.5, 0.9, 0.99, 1].map((share) => seen[Math.ceil(seen.length * share) - 1] ?? 0);
        const told = `${p50}, ${p90}, ${p99}, ${all} ms; ${requests.toFixed(0)} requests`;
        console.log(`way back C-1: ${services} services, ${how}: p50, p90, p99, all seen after ${told} in the minute`);
        assert.ok(Number(p99) <= SEEN[services].p99 && Number(all) <= SEEN[services].all, told);
        assert.ok(requests <= REQUESTS[services], told);
      });
    }
  }
});

async function lived(mode: "down" | "deaf", services: number, seed: number) {
  const clock = new ManualClock();
  const faulty = faultyRegistry(clock);
  const dice = new Xorshift32(seed * 7919);
  const random = (): number => dice.below(1_000_000) / 1_000_000;
  const resolver = createResolver({ registry: faulty.registry, clock, random });
  const register = async (service: string, port: number): Promise<void> => {
    const instance = defineInstance({ service, host: "127.0.0.1", port });
    await faulty.memory.register(instance, { ttlMs: 600_000, signal: new AbortController().signal });
  };
  const names = Array.from({ length: services }, (_, index) => `s${index}`);
  for (const name of names) await register(name, 3_000);
  const handles = names.map((name) => resolver.service(name));
  for (const handle of handles) handle.on("changed", () => {});
  await clock.advance(10_000 + random() * 30_000);
  faulty.mode = mode;
  for (const name of names) await register(name, 3_001);
  faulty.calls.length = 0;
  await clock.advance(AWAY_MS);
  const requests = faulty.calls.length;
  faulty.mode = "up";
  const back = clock.now();
  for (const name of names) await register(name, 3_002);
  const seen = new Map<string, number>();
  let crowd = 0;
  while (seen.size < services && clock.now() - back < 60_000) {
    faulty.calls.length = 0;
    await clock.advance(100);
    crowd = Math.max(crowd, faulty.calls.length);
    for (const handle of handles)
      if (handle.instances().length === 3 && !seen.has(handle.name)) seen.set(handle.name, clock.now() - back);
  }
  assert.equal(seen.size, services);
  await resolver.close();
  await faulty.memory.close();
  return { seen: [...seen.values()], requests, crowd };
}
