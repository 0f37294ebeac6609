/** A timer later than this, in milliseconds, was held up: the system clock then lets what has arrived go first. */
const LATE_MS = 50;
/** What the wall clock says when a world begins. */
export const WALL_START = Date.UTC(2026, 0, 1);

/**
 * One process of the world: a clock of its own, and whatever reaches it. While it is paused nothing does; when it goes
 * on it sees one gap: first what lies in its sockets, then its timers, all late.
 */
export class Process {
  isAlive = true;
  isPaused = false;
  /** Whether its whole machine sleeps: what is sent to it is lost, not kept by a kernel. */
  isDeaf = false;
  /** How long it has stood still in all, and how often, for checkers that count a process's own time. */
  pausedMs = 0;
  pauses = 0;
  resumedAt = Number.NEGATIVE_INFINITY;
  /** How many messages it has received. */
  heard = 0;
  #scheduler;
  #held = [];
  #pausedAt = 0;

  /** @param {string} host its place in the network, which outlives it @param {number} rate its clock's, 1 being true */
  constructor(scheduler, host, sleepOn, rate = 1) {
    this.#scheduler = scheduler;
    this.host = host;
    this.rate = rate;
    this.clock = new ProcessClock(this, scheduler, sleepOn);
  }

  get isRunning() {
    return this.isAlive && !this.isPaused;
  }

  /** Milliseconds during which it could do anything, since the world began. */
  get awakeMs() {
    const { now } = this.#scheduler;
    return now - this.pausedMs - (this.isPaused ? now - this.#pausedAt : 0);
  }

  /** Runs something in this process: now, or when it goes on. What comes to the dead, or to a machine asleep, is lost. */
  run(event) {
    if (this.isPaused && this.isAlive && (event.isTimer || !this.isDeaf)) this.#held.push(event);
    else if (this.isRunning && !event.cancelled) event.run();
  }

  pause(isDeaf = false) {
    if (!this.isRunning) return;
    this.isDeaf = isDeaf;
    this.isPaused = true;
    this.pauses++;
    this.#pausedAt = this.#scheduler.now;
  }

  resume() {
    if (!this.isPaused || !this.isAlive) return;
    this.isPaused = false;
    const { now } = this.#scheduler;
    this.resumedAt = now;
    this.pausedMs += now - this.#pausedAt;
    const held = this.#held;
    this.#held = [];
    const timers = held.filter(({ isTimer }) => isTimer);
    if (timers.some(({ time }) => now - time > LATE_MS)) this.clock.stalledAt = this.clock.now();
    const messages = held.filter(({ isTimer }) => !isTimer);
    for (const event of [...messages, ...timers]) this.#scheduler.after(0, () => this.run(event));
  }

  /** Ends without a word. */
  kill() {
    this.isAlive = false;
    this.#held = [];
  }
}

/** The library's `Clock`, as one process sees the world's time. */
class ProcessClock {
  stalledAt = Number.NEGATIVE_INFINITY;
  #process;
  #scheduler;
  #sleepOn;
  #bornAt;

  constructor(process, scheduler, sleepOn) {
    this.#process = process;
    this.#scheduler = scheduler;
    this.#sleepOn = sleepOn;
    this.#bornAt = scheduler.now;
  }

  now() {
    return 1_000 + (this.#scheduler.now - this.#bornAt) * this.#process.rate;
  }

  wall() {
    return WALL_START + this.#scheduler.now;
  }

  schedule(ms, run) {
    const timer = { time: 0, run, cancelled: false, isTimer: true };
    const event = this.#scheduler.after(Math.max(1, ms) / this.#process.rate, () => this.#process.run(timer));
    timer.time = event.time;
    return () => {
      timer.cancelled = true;
      event.cancelled = true;
    };
  }

  sleep(ms, signal) {
    return this.#sleepOn(this, ms, signal);
  }
}
