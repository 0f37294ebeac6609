import type { Endpoint } from "../endpoint/endpoint.js";
import type { Xorshift32 } from "../runtime/random.js";

/** How long one is a newcomer, in milliseconds. */
const YOUNG_MS = 30_000;
/** Chance of a trial per pick at first, and what it rises to. */
const LEAST_CHANCE = 0.1;
const MOST_CHANCE = 0.5;

/**
 * Those who joined a service that was there before, for their first 30 s.
 *
 * A cold instance is slow, a slow one gets no calls, and without calls it stays cold. So it is tried now and then, the
 * more often the older it is, though never with two calls at once: half of a fair share after 20 s instead of 54.
 */
export class Newcomers {
  readonly #random: Xorshift32;
  #young: readonly Endpoint[] = [];

  constructor(random: Xorshift32) {
    this.#random = random;
  }

  /** True if there are any. */
  update(members: readonly Endpoint[]): boolean {
    this.#young = members.filter(
      ({ addedAt, load: { shared } }) => addedAt > shared.startedAt && isYoung(addedAt, shared.now),
    );
    return this.#young.length > 0;
  }

  /** Lets those grow up whose time it is; true if any are left. */
  sweep(now: number): boolean {
    if (this.#young.length > 0) this.#young = this.#young.filter(({ addedAt }) => isYoung(addedAt, now));
    return this.#young.length > 0;
  }

  /** A newcomer whose trial this call shall be; usually none. */
  onTrial(now: number): Endpoint | undefined {
    const young = this.#young;
    const endpoint = young[this.#random.below(young.length)];
    if (endpoint === undefined || endpoint.load.inFlight > 0) return undefined;
    const chance = (MOST_CHANCE * (now - endpoint.addedAt)) / YOUNG_MS;
    return this.#random.fraction() < Math.max(chance, LEAST_CHANCE) ? endpoint : undefined;
  }
}

function isYoung(addedAt: number, now: number): boolean {
  return now - addedAt < YOUNG_MS;
}
