import { loadLibrary } from "./library.mjs";
import { World } from "./world.mjs";

/** What came of a run of worlds. Plain data, so that it can come from another process. */
const NOTHING = Object.freeze({ seeds: 0, hours: 0, events: 0, faults: {}, traces: {}, failure: undefined });

/**
 * Lives through one world after the other until one breaks a promise, `seeds` have passed, or `hours` of virtual time.
 *
 * @param {{ dist: string, seed: number, step: number, seeds: number, hours: number, profile: object }} plan
 */
export async function run({ dist, seed, step, seeds, hours, profile }) {
  Error.stackTraceLimit = 4; // errors are the daily bread of this place
  const library = await loadLibrary(dist);
  let sum = { ...NOTHING };
  for (let index = 0; index < seeds && sum.hours < hours && !sum.failure; index++) {
    sum = added(sum, await lived(new World(library, seed + index * step, profile)));
  }
  return sum;
}

async function lived(world) {
  let failure;
  try {
    await world.live();
  } catch (error) {
    failure = { id: error.id ?? "crash", seed: world.seed, text: error.id ? error.message : error.stack };
  }
  return {
    seeds: 1,
    hours: world.now / 3_600_000,
    events: world.scheduler.count,
    faults: world.network.faults,
    traces: { [world.seed]: world.trace },
    failure,
  };
}

/** Two summaries as one. */
export function added(a, b) {
  const faults = { ...a.faults };
  for (const [kind, count] of Object.entries(b.faults)) faults[kind] = (faults[kind] ?? 0) + count;
  return {
    seeds: a.seeds + b.seeds,
    hours: a.hours + b.hours,
    events: a.events + b.events,
    faults,
    traces: { ...a.traces, ...b.traces },
    failure: a.failure ?? b.failure,
  };
}
