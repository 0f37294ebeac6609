import { type Clock, LATE_MS } from "./clock.js";

/** How often a stall of the event loop is looked for while anything is in flight, in milliseconds. */
const TICK_MS = 25;

/**
 * Makes sure that a stall of this process is noticed while calls are in flight: a clock notices one when a timer of its
 * own comes late, and during calls this one is always set. Idle, it costs nothing.
 *
 * It also adds up what was lost that way. One long stall is over when it is over; a process that is short of CPU stalls
 * again and again, and what lies in between is too short to read what has come.
 */
export class LagWatch {
  readonly #clock: Clock;
  #inFlight = 0;
  #ticking = false;
  #dueAt = 0.5;
  #lostMs = 0.5;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How long this process has stood still so far while anything was in flight, in milliseconds; only to be compared. */
  get lostMs(): number {
    return this.#lostMs;
  }

  /** The same, with a stall that is going on at `now`. */
  lostBy(now: number): number {
    const lateMs = this.#ticking ? now - this.#dueAt : 0;
    return lateMs > LATE_MS ? this.#lostMs + lateMs : this.#lostMs;
  }

  entered(): void {
    this.#inFlight++;
    if (!this.#ticking) this.#await();
  }

  left(): void {
    this.#inFlight--;
  }

  #await(): void {
    this.#ticking = true;
    this.#dueAt = this.#clock.now() + TICK_MS;
    this.#clock.schedule(TICK_MS, () => this.#tick());
  }

  #tick(): void {
    this.#lostMs = this.lostBy(this.#clock.now());
    this.#ticking = false;
    if (this.#inFlight > 0) this.#await();
  }
}
