/** Time constant of forgetting, in milliseconds: the value Finagle, linkerd, go-zero and Envoy share. */
const TAU_MS = 10_000;
/** A gap between two calls counts as at most this long, in milliseconds: idle time must not make the slow look good. */
const MAX_GAP_MS = 200;
/** Scores are brought down again long before a double overflows (at 1e308): at the soonest after 46 minutes. */
const MAX_GROWTH = 1e120;

/** What grew with the time it was taken at. */
interface Growing {
  rebase(growth: number): void;
}

/**
 * What the endpoints of one service share: the moment of the last report, all calls in flight, and how much older
 * measurements have faded.
 *
 * Nothing in here reads a clock. `begin(now)` and `settle(…, now)` of the endpoints tell the time, and pickers work with
 * the last one told; so a simulation drives the real endpoints and pickers with whatever `now` it likes.
 */
export class SharedLoad {
  /** The last moment a call began or was settled, in milliseconds. */
  now: number;
  /** When the first endpoint of the service was seen: who came later is a newcomer. */
  readonly startedAt: number;
  /** Calls in flight, of all endpoints together. */
  inFlight = 0;
  /** Counts endpoints measured for the first time: tables made before are out of date at once. */
  firsts = 0;
  /**
   * e to the power of (call time ÷ τ). A score multiplied by it when it was taken need not be aged when it is read: all
   * others have grown meanwhile ("forward decay", Cormode et al., 2009).
   */
  growth = 1.000000001;
  readonly #members = new Set<Growing>();

  constructor(now: number) {
    this.now = now + 0.000001; // a double from the start: see `Load`
    this.startedAt = now;
  }

  join(load: Growing): void {
    this.#members.add(load);
  }

  /** Called for endpoints that have left; calls still in flight go on being counted. */
  leave(load: Growing): void {
    this.#members.delete(load);
  }

  /** A call began or was settled at `now`. */
  tick(now: number): void {
    const gap = now - this.now;
    if (!(gap > 0)) return;
    this.now = now;
    const step = Math.min(gap, MAX_GAP_MS) / TAU_MS;
    this.growth *= 1 + step + 0.5 * step * step; // e^step to within 1e-6, at a third of the cost
    if (this.growth > MAX_GROWTH) this.#rebase();
  }

  #rebase(): void {
    for (const load of this.#members) load.rebase(this.growth);
    this.growth = 1;
  }
}
