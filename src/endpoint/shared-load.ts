/** Time constant of forgetting, in milliseconds: the value Finagle, linkerd, go-zero and Envoy share. */
const TAU_MS = 10_000;
/** A division would cost as much as everything else in a tick. */
const PER_MS = 1 / TAU_MS;
/** A gap between two calls counts as at most this long, in milliseconds: idle time must not make the slow look good. */
const MAX_GAP_MS = 200;
/** Scores are brought down again long before a double overflows (at 1e308): at the soonest after 46 minutes. */
const MAX_GROWTH = 1e120;
/** Places to begin with; doubled whenever they are taken. */
const PLACES = 16;

/** Where in a double's two halves its sign and exponent are. */
const UPPER = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0;

/** The score of who was never tried: better than any measured one. */
export const UNTRIED = 1e-300;

/**
 * What the endpoints of one service share: the moment of the last report, all calls in flight, how much older
 * measurements have faded, and side by side in arrays, where a pick among thousands finds them, the numbers it compares.
 *
 * Nothing in here reads a clock. `begin(now)` and `settle(…, now)` of the endpoints tell the time, and pickers work with
 * the last one told; so a simulation drives the real endpoints and pickers with whatever `now` it likes.
 */
export class SharedLoad {
  /** The last moment a call began or was settled, in milliseconds. */
  now = 0.5; // a double from the start, and never undefined: see `Load`
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
  /** Counts the times growth began again at 1. */
  eras = 0;
  /** By place: calls in flight. */
  inFlights = new Int32Array(PLACES);
  /** By place: what a call costs an idle endpoint, times the growth when that was found. */
  scores = new Float64Array(PLACES);
  /** By place: what a call costs now, which is score × (in flight + 1). */
  costs = new Float64Array(PLACES);
  /**
   * The same memory as whole numbers, two to a cost. The upper halves of doubles that are not negative stand in the
   * order of the doubles, to within a millionth: so costs can be compared without a branch, which of random ones a
   * processor mispredicts every second time. See `rankAt`.
   */
  ranks = new Int32Array(this.costs.buffer);
  readonly #free: number[] = [];
  #taken = 0;

  constructor(now: number) {
    this.now = now + 0.000001;
    this.startedAt = now;
  }

  /** A place in the arrays, until it is left. */
  join(): number {
    const place = this.#free.pop() ?? this.#taken++;
    if (place === this.costs.length) this.#grow();
    this.inFlights[place] = 0;
    this.scores[place] = UNTRIED;
    this.costs[place] = UNTRIED;
    return place;
  }

  leave(place: number): void {
    this.#free.push(place);
  }

  /** Where in `ranks` the cost of a place is. */
  static rankAt(place: number): number {
    return 2 * place + UPPER;
  }

  /** A call began or was settled at `now`. */
  tick(now: number): void {
    const gap = now - this.now;
    if (!(gap > 0)) return;
    this.now = now;
    const step = Math.min(gap, MAX_GAP_MS) * PER_MS;
    this.growth *= 1 + step + 0.5 * step * step; // e^step to within 2e-6, at a third of the cost
    if (this.growth > MAX_GROWTH) this.#rebase();
  }

  #grow(): void {
    const size = 2 * this.costs.length;
    const [inFlights, scores, costs] = [new Int32Array(size), new Float64Array(size), new Float64Array(size)];
    inFlights.set(this.inFlights);
    scores.set(this.scores);
    costs.set(this.costs);
    this.inFlights = inFlights;
    this.scores = scores;
    this.costs = costs;
    this.ranks = new Int32Array(costs.buffer);
  }

  #rebase(): void {
    for (let place = 0; place < this.#taken; place++) {
      this.scores[place]! /= this.growth;
      this.costs[place]! /= this.growth;
    }
    this.growth = 1;
    this.eras++;
  }
}
