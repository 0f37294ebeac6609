import type { Cancel, Clock } from "./clock.js";

/** How often the two clocks are compared, in milliseconds: whoever must act on a wake-up does so within a second. */
const LOOK_MS = 500;
/**
 * The wall clock gaining so much on the monotonic one, in milliseconds, means that the machine slept: the monotonic
 * clock stands still then. A wall clock that was set looks the same and costs one question too many.
 */
const SLEPT_MS = 5_000;

const watches = new WeakMap<Clock, WakeWatch>();

/** Calls `woken` whenever this machine has slept, or its wall clock was set, until the returned function is called. */
export function onWake(clock: Clock, woken: () => void): Cancel {
  let watch = watches.get(clock);
  if (!watch) {
    watch = new WakeWatch(clock);
    watches.set(clock, watch);
  }
  return watch.add(woken);
}

/** One timer per clock, and only while somebody wants to know. */
class WakeWatch {
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  #ahead = 0;
  #cancel: Cancel = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(woken: () => void): Cancel {
    const listener = (): void => woken(); // its own: the same function may be given twice
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#begin();
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#cancel();
    };
  }

  #begin(): void {
    this.#ahead = this.#clock.wall() - this.#clock.now();
    this.#look();
  }

  #look(): void {
    this.#cancel = this.#clock.schedule(LOOK_MS, () => {
      const ahead = this.#clock.wall() - this.#clock.now();
      const slept = Math.abs(ahead - this.#ahead) > SLEPT_MS;
      this.#ahead = ahead;
      this.#look();
      if (slept) for (const listener of [...this.#listeners]) listener();
    });
  }
}
