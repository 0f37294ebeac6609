import type { Ground } from "./caller.js";
import { Deadline } from "./deadlines.js";

/** A try lasts at most so many times its own time, however short of processor time this process is. */
const PROLONGED = 3;

/** What a try must know of its call's time. */
export interface Timing {
  readonly ground: Ground;
  /** How long one try may take, in milliseconds. */
  readonly tryTimeoutMs: number;
  /** When the call is over, whatever its tries do. */
  readonly endsAt: number;
}

/**
 * The time one try has until its headers. An instance has its whole time, and this process to hear it: what this process
 * has lost by standing still is given back. The caller's own time is not prolonged.
 */
export abstract class Timed extends Deadline {
  startedAt: number;
  readonly #timing: Timing;
  readonly #ground: Ground;
  #latest: number;
  /** Up to here, what this process has lost by standing still is none of this try's. */
  #lostBefore: number;

  constructor(timing: Timing, startedAt: number) {
    super();
    const { ground, tryTimeoutMs, endsAt } = timing;
    this.startedAt = startedAt;
    this.#timing = timing;
    this.#ground = ground;
    this.#latest = Math.min(endsAt, startedAt + PROLONGED * tryTimeoutMs);
    this.#lostBefore = ground.lag.lostMs;
    ground.lag.entered();
    ground.deadlines.add(this, Math.min(startedAt + tryTimeoutMs, endsAt));
  }

  override expire(): void {
    if (!this.#prolonged()) this.timedOut();
  }

  /** Only now can it begin: what it waited for was of our own making. */
  protected restart(): void {
    const { ground, tryTimeoutMs, endsAt } = this.#timing;
    const now = ground.clock.now();
    this.startedAt = now;
    this.#latest = Math.min(endsAt, now + PROLONGED * tryTimeoutMs);
    this.#lostBefore = ground.lag.lostMs;
    ground.deadlines.remove(this);
    ground.deadlines.add(this, Math.min(now + tryTimeoutMs, endsAt));
  }

  /** Has no deadline any more. */
  protected release(): void {
    this.#ground.deadlines.remove(this);
  }

  /** Waits on, until the call is over. */
  protected waitOn(): void {
    this.#ground.deadlines.add(this, this.#timing.endsAt);
  }

  /** Its time is over, and it had all of it. */
  protected abstract timedOut(): void;

  /** It waits no more; returns the moment. */
  protected stop(): number {
    const { lag, clock } = this.#ground;
    this.release();
    lag.left();
    return clock.now();
  }

  /** Its latency at `now`; negative if this process stood still meanwhile: the instance is not to blame. */
  protected tookMs(now: number): number {
    return this.startedAt < this.#ground.clock.stalledAt ? -1 : now - this.startedAt;
  }

  /** Gives back what this process has lost since the try began, or was last given something; false if nothing. */
  #prolonged(): boolean {
    const { lag, deadlines, clock } = this.#ground;
    const now = clock.now();
    const lostMs = lag.lostBy(now);
    const owedMs = Math.min(lostMs - this.#lostBefore, now - this.startedAt); // a stall may be older than the try
    if (owedMs <= 0 || this.dueAt >= this.#latest) return false;
    this.#lostBefore = lostMs;
    deadlines.add(this, Math.min(this.dueAt + owedMs, this.#latest));
    return true;
  }
}
