import { Book, bookOf, costAt, inFlightAt, type SharedLoad, UNTRIED } from "./shared-load.js";

/** Weight of the newest latency sample: half of the estimate is younger than two samples, nine tenths than seven. */
const LATENCY_SHARE = 0.3;
/** Weight of the newest outcome in the success rate. */
const OUTCOME_SHARE = 0.1;
/** From this rate on a success changes nothing that matters: a hundred in a row, and it need not be worked out again. */
const FLAWLESS = 0.99999;
/** Nobody is written off: who always failed still gets a trickle that may prove better days. */
const MIN_SUCCESS_RATE = 0.05;
/** An older estimate keeps at most this share when a faster sample comes in. */
const MAX_KEPT = 0.9;
/** What is not known yet. */
const UNKNOWN = -1;
/** What an endpoint is taken for that failed before it was ever measured, in milliseconds (linkerd's default rtt). */
const UNKNOWN_MS = 30;
/** Answers faster than this, in milliseconds, count as this fast: a cost of 0 would draw any number of calls. */
const MIN_MS = 0.05;

/** A call to the endpoint at `place` begins. */
export function noteBegin(shared: SharedLoad, place: number, now: number): void {
  shared.now = now;
  shared.inFlight++;
  const { standings, books } = shared;
  const at = inFlightAt(place);
  const book = bookOf(place);
  const inFlight = standings[at]! + 1;
  standings[at] = inFlight;
  const waiting = standings[at | 1]!;
  standings[at | 1] = waiting + 1;
  if (waiting === 0) books[book | Book.SILENT_SINCE] = now;
  if (books[book | Book.PEAK_MS]! < 0) books[book | Book.SCORE] = Number.POSITIVE_INFINITY; // one first try at a time: it may be slow
  shared.costs[costAt(place)] = books[book | Book.SCORE]! * (inFlight + 1);
}

/** It is over; the answer is how many are left. */
export function noteEnd(shared: SharedLoad, place: number): number {
  shared.inFlight--;
  const at = inFlightAt(place);
  const left = shared.standings[at]! - 1;
  shared.standings[at] = left;
  shared.costs[costAt(place)] = shared.books[bookOf(place) | Book.SCORE]! * (left + 1);
  return left;
}

/**
 * It was answered as it should be. `latencyMs` is negative when it was not measured or must not count.
 *
 * Whoever has not failed of late is what nearly all calls go to, and dealt with here, without a division and without a
 * branch that depends on the latency: a processor guesses those wrong every second time.
 */
export function noteSuccess(shared: SharedLoad, place: number, latencyMs: number, now: number): void {
  shared.settledAt(now);
  const { standings, books, growth } = shared;
  const at = inFlightAt(place);
  const book = bookOf(place);
  standings[at | 1]! -= 1;
  books[book | Book.SILENT_SINCE] = now;
  books[book | Book.SUCCESSES]! += 1;
  const peakMs = books[book | Book.PEAK_MS]!;
  if (books[book | Book.SUCCESS_RATE]! < FLAWLESS || peakMs < 0 || !(latencyMs >= 0))
    return noteUnusual(shared, place, latencyMs, true);
  books[book | Book.LATENCY_MS] = towards(latencyMs, books[book | Book.LATENCY_MS]!);
  const peakedMs = peakAfter(latencyMs, peakMs, books[book | Book.GROWN_AT]!, growth);
  books[book | Book.PEAK_MS] = peakedMs;
  books[book | Book.GROWN_AT] = growth;
  score(shared, place, growth * Math.max(peakedMs, MIN_MS));
}

/** It failed; with `latencyMs` negative, in no time that says anything. */
export function noteFailure(shared: SharedLoad, place: number, latencyMs: number, now: number): void {
  shared.settledAt(now);
  shared.standings[inFlightAt(place) | 1]! -= 1;
  shared.books[bookOf(place) | Book.SILENT_SINCE] = now;
  noteUnusual(shared, place, latencyMs, false);
}

/** The caller gave up, which says nothing. */
export function noteCancel(shared: SharedLoad, place: number, now: number): void {
  shared.settledAt(now);
  shared.standings[inFlightAt(place) | 1]! -= 1;
  if (shared.books[bookOf(place) | Book.PEAK_MS]! < 0) rescore(shared, place);
}

/** Calls wait and nothing was heard for longer than usual: the silence is taken for the latency. */
export function noteSilence(shared: SharedLoad, place: number, now: number): void {
  const { standings, books } = shared;
  const book = bookOf(place);
  const peakMs = books[book | Book.PEAK_MS]!;
  if (standings[inFlightAt(place) | 1] === 0 || peakMs < 0) return;
  const silentMs = now - books[book | Book.SILENT_SINCE]!;
  if (silentMs <= peakMs) return;
  score(shared, place, Math.max(books[book | Book.SCORE]!, scoreOf(shared, place, silentMs)));
}

/** Another process answers there now, or the first one: nothing is known of it, and nobody waits for it. */
export function forget(shared: SharedLoad, place: number): void {
  const { books, standings } = shared;
  const book = bookOf(place);
  standings[inFlightAt(place) | 1] = 0;
  books[book | Book.LATENCY_MS] = UNKNOWN;
  books[book | Book.RAW_MS] = UNKNOWN;
  books[book | Book.PEAK_MS] = UNKNOWN;
  books[book | Book.SUCCESS_RATE] = 1;
  shared.reports?.fill(0, 2 * place, 2 * place + 2);
  score(shared, place, UNTRIED);
}

/**
 * The latency with failures timed like answers, as in the spec; negative until the first sample. Without failures it is
 * the other one, and after a hundred answers in a row too, to sixteen digits.
 */
export function rawMsOf({ books }: SharedLoad, place: number): number {
  const book = bookOf(place);
  const isFlawless = books[book | Book.SUCCESS_RATE]! >= FLAWLESS;
  return books[book | (isFlawless ? Book.LATENCY_MS : Book.RAW_MS)]!;
}

/** A failure, a first answer, one without a latency, or one of somebody who has failed of late. */
function noteUnusual(shared: SharedLoad, place: number, latencyMs: number, succeeded: boolean): void {
  const { books } = shared;
  const book = bookOf(place);
  books[book | Book.RAW_MS] = rawMsOf(shared, place);
  const rate = towards(succeeded ? 1 : 0, books[book | Book.SUCCESS_RATE]!, OUTCOME_SHARE);
  books[book | Book.SUCCESS_RATE] = Math.max(rate, MIN_SUCCESS_RATE);
  if (latencyMs >= 0) noteLatency(shared, place, latencyMs, succeeded);
  rescore(shared, place);
}

function noteLatency(shared: SharedLoad, place: number, latencyMs: number, succeeded: boolean): void {
  const { books, growth } = shared;
  const book = bookOf(place);
  const rawMs = books[book | Book.RAW_MS]!;
  const smoothMs = books[book | Book.LATENCY_MS]!;
  const peakMs = books[book | Book.PEAK_MS]!;
  if (rawMs < 0) shared.firsts++;
  books[book | Book.RAW_MS] = rawMs < 0 ? latencyMs : towards(latencyMs, rawMs);
  const isKnown = smoothMs >= 0;
  if (succeeded || (isKnown && latencyMs > smoothMs))
    books[book | Book.LATENCY_MS] = isKnown ? towards(latencyMs, smoothMs) : latencyMs;
  if (peakMs < 0) books[book | Book.PEAK_MS] = succeeded ? latencyMs : Math.max(latencyMs, UNKNOWN_MS);
  else if (succeeded || latencyMs > peakMs)
    books[book | Book.PEAK_MS] = peakAfter(latencyMs, peakMs, books[book | Book.GROWN_AT]!, growth);
  books[book | Book.GROWN_AT] = growth;
}

function towards(sample: number, estimate: number, share = LATENCY_SHARE): number {
  return estimate + share * (sample - estimate);
}

/** Up by a share, so that one outlier is no verdict; down only as fast as time passes, or by a tenth. */
function peakAfter(sampleMs: number, peakMs: number, grownAt: number, growth: number): number {
  const difference = sampleMs - peakMs;
  const down = grownAt >= growth * MAX_KEPT ? 1 - MAX_KEPT : 1 - grownAt / growth;
  // half of difference + |difference| is what it is above 0, half of difference - |difference| what it is below
  return peakMs + 0.5 * ((LATENCY_SHARE + down) * difference + (LATENCY_SHARE - down) * Math.abs(difference));
}

function rescore(shared: SharedLoad, place: number): void {
  const peakMs = shared.books[bookOf(place) | Book.PEAK_MS]!;
  if (peakMs >= 0) score(shared, place, scoreOf(shared, place, peakMs));
  else if (shared.standings[inFlightAt(place) | 1]! > 0) score(shared, place, Number.POSITIVE_INFINITY);
  else if (shared.books[bookOf(place) | Book.SUCCESS_RATE]! > 0.99) score(shared, place, UNTRIED);
  else score(shared, place, scoreOf(shared, place, UNKNOWN_MS));
}

function score({ books, costs, standings }: SharedLoad, place: number, found: number): void {
  books[bookOf(place) | Book.SCORE] = found;
  costs[costAt(place)] = found * (standings[inFlightAt(place)]! + 1);
}

/** Success to the fourth power, as balancers that must not be drawn to fast failures need it (measured: 44 → 0.4 %). */
function scoreOf({ growth, books }: SharedLoad, place: number, ms: number): number {
  const found = growth * Math.max(ms, MIN_MS);
  const rate = books[bookOf(place) | Book.SUCCESS_RATE]!;
  return rate >= FLAWLESS ? found : found / (rate * rate * rate * rate);
}
