// From a change to the news of it: by the registry's own means, and by ours.
import { setTimeout as pass } from "node:timers/promises";
import { createResolver } from "../../../dist/index.js";

const ROUNDS = 100;
const WARMING_UP = 10;

/**
 * Takes the sides by turns, `apartMs` from one news to the next change. Each says how it listens, and how the change is
 * made that it hears of.
 */
export async function notify(sides, { apartMs }) {
  const heard = {};
  for (const [side, { listen }] of Object.entries(sides)) await listen(() => heard[side]?.());
  await pass(1_000);
  const times = Object.fromEntries(Object.keys(sides).map((side) => [side, []]));
  for (let round = 0; round < ROUNDS + WARMING_UP; round++) {
    for (const [side, { change }] of Object.entries(sides)) {
      const news = new Promise((resolve) => {
        heard[side] = () => resolve(performance.now());
      });
      const sent = performance.now();
      await change(round);
      times[side].push((await news) - sent);
      await pass(apartMs);
    }
  }
  for (const [side, all] of Object.entries(times)) {
    const sorted = all.slice(WARMING_UP).sort((a, b) => a - b);
    console.log(`notify, ${side}: p50 ${sorted[ROUNDS / 2].toFixed(2)} ms, p95 ${sorted[ROUNDS * 0.95].toFixed(2)} ms`);
  }
}

/** Listens as a user of ours does: to a service's `changed`. */
export function changed(registry, name) {
  return (heard) => {
    const service = createResolver({ registry }).service(name);
    service.on("changed", heard);
    service.resume();
  };
}
