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
  /** True while there are any. */
  any = false;

  constructor(random: Xorshift32) {
    this.#random = random;
  }

  update(members: readonly Endpoint[]): void {
    this.#set(
      members.filter(({ addedAt, load: { shared } }) => isYoung(addedAt, shared.now) && addedAt > shared.startedAt),
    );
  }

  /** Lets those grow up whose time it is. */
  sweep(now: number): void {
    if (this.any) this.#set(this.#young.filter(({ addedAt }) => isYoung(addedAt, now)));
  }

  /** A newcomer whose trial this call shall be; usually none. */
  onTrial(now: number): Endpoint | undefined {
    const young = this.#young;
    const endpoint = young[this.#random.below(young.length)];
    if (endpoint === undefined || endpoint.load.inFlight > 0) return undefined;
    const chance = (MOST_CHANCE * (now - endpoint.addedAt)) / YOUNG_MS;
    return this.#random.fraction() < Math.max(chance, LEAST_CHANCE) ? endpoint : undefined;
  }

  #set(young: readonly Endpoint[]): void {
    this.#young = young;
    this.any = young.length > 0;
  }
}

function isYoung(addedAt: number, now: number): boolean {
  return now - addedAt < YOUNG_MS;
}
