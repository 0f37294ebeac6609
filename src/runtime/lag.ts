import type { Clock } from "./clock.js";

/** How often a stall of the event loop is looked for while anything is in flight, in milliseconds. */
const TICK_MS = 25;

/**
 * Makes sure that a stall of this process is noticed while calls are in flight: a clock notices one when a timer of its
 * own comes late, and during calls this one is always set. Idle, it costs nothing.
 */
export class LagWatch {
  readonly #clock: Clock;
  #inFlight = 0;
  #ticking = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  entered(): void {
    this.#inFlight++;
    if (!this.#ticking) this.#tick();
  }

  left(): void {
    this.#inFlight--;
  }

  #tick(): void {
    this.#ticking = this.#inFlight > 0;
    if (this.#ticking) this.#clock.schedule(TICK_MS, () => this.#tick());
  }
}
