/** A timer later than this, in milliseconds, was held up: the system clock then lets what has arrived go first. */
const LATE_MS = 50;
/** A timer that is due within this, in milliseconds, is due: numbers are not exact. */
const EXACT_MS = 1e-5;
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
  /** By how much its machine's wall clock is wrong, in milliseconds. */
  wallOffMs = 0;
  /** When that was last set. */
  wallSetAt = Number.NEGATIVE_INFINITY;
  /** How long its monotonic clock has stood still, because its machine slept. */
  asleepMs = 0;
  /** How many messages it has received. */
  heard = 0;
  /** When it last sent each kind of request, by method and path. */
  sentAt = new Map();
  #scheduler;
  #held = [];
  #pausedAt = 0;
  #isAsleep = false;

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

  /** The same as its own clock counts it. */
  get ownMs() {
    return this.awakeMs * this.rate;
  }

  /** How long it has been standing still this time. */
  get sleepsForMs() {
    return this.isPaused ? this.#scheduler.now - this.#pausedAt : 0;
  }

  /** How long its monotonic clock has stood still by now. */
  get stoodStillMs() {
    return this.asleepMs + (this.#isAsleep ? this.#scheduler.now - this.#pausedAt : 0);
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

  /** Its machine is suspended: what is sent to it is lost, and its monotonic clock stands still. */
  suspend() {
    if (!this.isRunning) return;
    this.pause(true);
    this.#isAsleep = true;
  }

  resume() {
    if (!this.isPaused || !this.isAlive) return;
    const { now } = this.#scheduler;
    this.asleepMs = this.stoodStillMs;
    this.#isAsleep = false;
    this.isPaused = false;
    this.resumedAt = now;
    this.pausedMs += now - this.#pausedAt;
    const held = this.#held;
    this.#held = [];
    const timers = held.filter(({ isTimer }) => isTimer);
    if (timers.some(({ due }) => this.clock.now() - due > LATE_MS)) this.clock.stalledAt = this.clock.now();
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
    const { stoodStillMs, rate } = this.#process;
    return 1_000 + (this.#scheduler.now - this.#bornAt - stoodStillMs) * rate;
  }

  wall() {
    return WALL_START + this.#scheduler.now + this.#process.wallOffMs;
  }

  schedule(ms, run) {
    const timer = {
      due: this.now() + Math.max(1, ms),
      cancelled: false,
      isTimer: true,
      event: undefined,
      run: undefined,
    };
    timer.run = () => {
      if (timer.due - this.now() > EXACT_MS)
        this.#plan(timer); // the clock stood still meanwhile
      else run();
    };
    this.#plan(timer);
    return () => {
      timer.cancelled = true;
      timer.event.cancelled = true;
    };
  }

  #plan(timer) {
    timer.event = this.#scheduler.after((timer.due - this.now()) / this.#process.rate, () => this.#process.run(timer));
  }

  sleep(ms, signal) {
    return this.#sleepOn(this, ms, signal);
  }
}
