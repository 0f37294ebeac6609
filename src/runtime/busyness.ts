import { performance } from "node:perf_hooks";
import type { Clock } from "./clock.js";

/** Over at least so long this process looks back at itself, in milliseconds: shorter, and one request is a peak. */
const WINDOW_MS = 100;

/** What share of its time this process's event loop was busy of late, 0 to 1. Without a timer: worked out when asked. */
export class Busyness {
  readonly #clock: Pick<Clock, "now">;
  #since: number;
  #before = performance.eventLoopUtilization();
  #share = 0.000001;

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
    this.#since = clock.now();
  }

  get share(): number {
    const now = this.#clock.now();
    if (now - this.#since < WINDOW_MS) return this.#share;
    const current = performance.eventLoopUtilization();
    this.#share = performance.eventLoopUtilization(current, this.#before).utilization;
    this.#before = current;
    this.#since = now;
    return this.#share;
  }
}
