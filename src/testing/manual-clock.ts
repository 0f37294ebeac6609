import { type Cancel, type Clock, sleepOn, turn } from "../runtime/clock.js";

interface Timer {
  readonly dueAt: number;
  readonly order: number;
  readonly run: () => void;
}

/** Time that stands still until it is told to go on. Timers run in the order they are due, each at its own moment. */
export class ManualClock implements Clock {
  stalledAt: number = Number.NEGATIVE_INFINITY;
  readonly #timers = new Set<Timer>();
  #now: number;
  #wallOffset: number;
  #order = 0;

  /** @param start what `now()` says at first, in milliseconds; @param wall what `wall()` says at first */
  constructor(start = 1_000, wall = Date.UTC(2026, 0, 1)) {
    this.#now = start;
    this.#wallOffset = wall - start;
  }

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#now + this.#wallOffset;
  }

  schedule(ms: number, run: () => void): Cancel {
    const timer = { dueAt: this.#now + Math.max(0, ms), order: this.#order++, run };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }

  /** How many timers wait: none may be left behind after a `close()`. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Goes on by `ms`: runs what falls due on the way, and lets promises settle after each. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await turn();
    for (let next = this.#next(until); next; next = this.#next(until)) {
      this.#now = Math.max(this.#now, next.dueAt);
      this.#timers.delete(next);
      next.run();
      await turn();
    }
    this.#now = until;
    await turn();
  }

  /** Jumps ahead as after a stall or a suspended machine: whatever fell due runs late, at the new moment. */
  async stall(ms: number): Promise<void> {
    this.#now += ms;
    this.stalledAt = this.#now;
    await this.advance(0);
  }

  /** Moves the wall clock alone. */
  setWall(wall: number): void {
    this.#wallOffset = wall - this.#now;
  }

  #next(until: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueAt > until) continue;
      if (!next || timer.dueAt < next.dueAt || (timer.dueAt === next.dueAt && timer.order < next.order)) next = timer;
    }
    return next;
  }
}
