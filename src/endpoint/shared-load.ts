/** Time constant of forgetting, in milliseconds: the value Finagle, linkerd, go-zero and Envoy share. */
const TAU_MS = 10_000;
/** A division would cost as much as everything else in a tick. */
const PER_MS = 1 / TAU_MS;
/** A gap between two answers counts as at most this long, in milliseconds: idle time must not make the slow look good. */
const MAX_GAP_MS = 200;
/** Scores are brought down again long before a double overflows (at 1e308): at the soonest after 46 minutes. */
const MAX_GROWTH = 1e120;
/** Places to begin with; doubled whenever they are taken. */
const PLACES = 16;

/** Where in a double's two halves its sign and exponent are. */
const UPPER = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0;
/** Whole numbers a place has in `standings`: two for its cost, one for calls in flight, one for calls that wait. */
const STANDING = 4;
/** Numbers a place has in `books`. */
const BOOK = 8;

/** What is kept of each endpoint, by its position in `books` from `bookOf(place)` on. */
export const Book = {
  /** What a call costs it while idle, times the growth when that was found. */
  SCORE: 0,
  PEAK_MS: 1,
  LATENCY_MS: 2,
  RAW_MS: 3,
  SUCCESS_RATE: 4,
  /** The growth when its peak was last moved. */
  GROWN_AT: 5,
  SILENT_SINCE: 6,
  SUCCESSES: 7,
} as const;

/** The score of who was never tried: better than any measured one. */
export const UNTRIED = 1e-300;

/**
 * What the endpoints of one service share: the moment of the last report, all calls in flight, how much older
 * measurements have faded, and their numbers.
 *
 * Those lie side by side in arrays, what a pick compares in one and what a report changes in another: a call to one of
 * thousands, which the processor's cache cannot all hold, then waits for two pieces of memory instead of a dozen.
 *
 * Nothing in here reads a clock. `begin(now)` and `settle(…, now)` of the endpoints tell the time, and pickers work with
 * the last one told; so a simulation drives the real endpoints and pickers with whatever `now` it likes.
 */
export class SharedLoad {
  /** The last moment a call began or was settled, in milliseconds. */
  now = 0.5; // a double from the start, and never undefined: V8 then keeps it in place and allocates nothing
  /** When the first endpoint of the service was seen: who came later is a newcomer. */
  readonly startedAt: number;
  /** Calls in flight, of all endpoints together. */
  inFlight = 0;
  /** Counts endpoints measured for the first time: tables made before are out of date at once. */
  firsts = 0;
  /**
   * e to the power of (call time ÷ τ), with call time the sum of the gaps between answers. A score multiplied by it when it was taken need not be aged when it is read: all
   * others have grown meanwhile ("forward decay", Cormode et al., 2009).
   */
  growth = 1.000000001;
  /** Counts the times growth began again at 1. */
  eras = 0;
  /**
   * What a pick compares, as whole numbers: at `rankAt(place)`, at `inFlightAt(place)` and behind it the calls that wait.
   *
   * A rank is the upper half of a cost. Those of doubles that are not negative stand in the order of the doubles, to
   * within a millionth: so costs can be compared without a branch, which of random ones a processor mispredicts every
   * second time.
   */
  standings = new Int32Array(STANDING * PLACES);
  /** The same memory as doubles: at `costAt(place)`, what a call costs now, which is score × (in flight + 1). */
  costs = new Float64Array(this.standings.buffer);
  /** What a report changes, `BOOK` numbers a place. */
  books = new Float64Array(BOOK * PLACES);
  /**
   * What servers report of themselves, two numbers a place: the share of their capacity that is taken, 0 to 1, and when
   * they said so. Undefined unless a balancer asked for it, and then nobody looks for such a report either.
   */
  reports: Float64Array | undefined = undefined;
  readonly #free: number[] = [];
  #taken = 0;
  #settledAt = 0.5;

  constructor(now: number) {
    this.now = now + 0.000001;
    this.#settledAt = this.now;
    this.startedAt = now;
  }

  /** A place in the arrays, until it is left. */
  join(): number {
    const place = this.#free.pop() ?? this.#taken++;
    if (place * BOOK === this.books.length) this.#grow();
    this.standings.fill(0, STANDING * place, STANDING * (place + 1));
    this.books.fill(0, bookOf(place), bookOf(place + 1));
    return place;
  }

  /** From now on reports are wanted, or no longer. */
  wantReports(wanted: boolean): void {
    if (wanted) this.reports ??= new Float64Array(this.costs.length);
    else this.reports = undefined;
  }

  leave(place: number): void {
    this.#free.push(place);
  }

  /** A call was settled at `now`: what was measured before has aged. */
  settledAt(now: number): void {
    this.now = now;
    const gap = now - this.#settledAt;
    if (!(gap > 0)) return;
    this.#settledAt = now;
    const step = Math.min(gap, MAX_GAP_MS) * PER_MS;
    this.growth *= 1 + step + 0.5 * step * step; // e^step to within 2e-6, at a third of the cost
    if (this.growth > MAX_GROWTH) this.#rebase();
  }

  #grow(): void {
    const standings = new Int32Array(2 * this.standings.length);
    const books = new Float64Array(2 * this.books.length);
    standings.set(this.standings);
    books.set(this.books);
    this.standings = standings;
    this.costs = new Float64Array(standings.buffer);
    this.books = books;
    if (!this.reports) return;
    const reports = new Float64Array(this.costs.length);
    reports.set(this.reports);
    this.reports = reports;
  }

  #rebase(): void {
    for (let place = 0; place < this.#taken; place++) {
      this.costs[costAt(place)]! /= this.growth;
      this.books[bookOf(place) | Book.SCORE]! /= this.growth;
      this.books[bookOf(place) | Book.GROWN_AT]! /= this.growth;
    }
    this.growth = 1;
    this.eras++;
  }
}

/** Where in `standings` the rank of a place is. Shifted, not multiplied: a product may be -0, which costs a check. */
export function rankAt(place: number): number {
  return (place << 2) | UPPER;
}

/** Where in `standings` the number of calls in flight of a place is; the next one is that of calls that wait. */
export function inFlightAt(place: number): number {
  return (place << 2) | 2;
}

/** Where in `costs` the cost of a place is. */
export function costAt(place: number): number {
  return place << 1;
}

/** Where in `books` the numbers of a place begin. */
export function bookOf(place: number): number {
  return place << 3;
}
