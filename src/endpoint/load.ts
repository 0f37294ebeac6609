import type { Outcome } from "./outcome.js";
import { type SharedLoad, UNTRIED } from "./shared-load.js";

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
/** What an endpoint is taken for that failed before it was ever measured, in milliseconds (linkerd's default rtt). */
const UNKNOWN_MS = 30;
/** Answers faster than this, in milliseconds, count as this fast: a cost of 0 would draw any number of calls. */
const MIN_MS = 0.05;

/**
 * What this process has measured of one endpoint. It belongs to the endpoint, not to a balancer: a change of balancer
 * keeps it, and every balancer finds in it what it goes by.
 *
 * Fields that will hold fractions start as fractions, not as undefined or 0: V8 then keeps them in place and allocates
 * nothing.
 */
export class Load {
  /** What all endpoints of the service have in common. */
  readonly shared: SharedLoad;
  /** Where in its arrays our numbers are. */
  readonly place: number = 0;
  /** Calls begun of which nothing was heard yet. */
  waiting = 0;
  /** Calls ever begun. */
  calls = 0;
  /** Calls ever failed. */
  failures = 0;
  /** Smoothed time to response headers, in milliseconds; negative until the first answer. Failures never lower it. */
  latencyMs = -0.5;
  /** The same with failures timed like answers, as in the spec; negative until the first sample. */
  rawMs = -0.5;
  /** The same, but quick to rise and slow to fall; negative until the first sample. What `adaptive()` goes by. */
  peakMs = -0.5;
  /** Share of recent calls that succeeded, 0.05 to 1. */
  successRate = 0.999999999;
  /** By how much failures raise the score: 1 ÷ success rate⁴. */
  #handicap = 1.000000001;
  #grownAt = 1.000000001;
  #grownIn = 0;
  #silentSince = -0.5;
  #left = false;

  constructor(shared: SharedLoad) {
    this.shared = shared;
    this.place = shared.join();
  }

  /** Calls begun and not yet ended; a streamed answer counts until its body ends. */
  get inFlight(): number {
    return this.shared.inFlights[this.place]!;
  }

  begin(now: number): void {
    const { shared, place } = this;
    shared.tick(now);
    shared.inFlight++;
    const inFlight = shared.inFlights[place]! + 1;
    shared.inFlights[place] = inFlight;
    this.calls++;
    if (this.waiting++ === 0) this.#silentSince = now;
    if (this.peakMs < 0) shared.scores[place] = Number.POSITIVE_INFINITY; // one first try at a time: it may be slow
    shared.costs[place] = shared.scores[place]! * (inFlight + 1);
  }

  /** @param latencyMs negative when it was not measured or must not count */
  settle(outcome: Outcome, latencyMs: number, now: number): void {
    this.shared.tick(now);
    if (this.waiting > 0) this.waiting--;
    if (outcome === "cancelled") {
      if (this.peakMs < 0) this.#rescore();
      return;
    }
    this.#silentSince = now;
    const succeeded = outcome === "success";
    if (!succeeded) this.failures++;
    if (!succeeded || this.successRate < FLAWLESS) this.#judge(succeeded);
    if (latencyMs >= 0 && outcome !== "refused") this.#sample(latencyMs, succeeded);
    this.#rescore();
  }

  end(): void {
    const { shared, place } = this;
    shared.inFlight--;
    const left = shared.inFlights[place]! - 1;
    shared.inFlights[place] = left;
    shared.costs[place] = shared.scores[place]! * (left + 1);
    if (this.#left && left === 0) shared.leave(place);
  }

  /** The endpoint has left; its calls in flight go on being counted, and then its place is free. */
  leave(): void {
    this.#left = true;
    if (this.inFlight === 0) this.shared.leave(this.place);
  }

  /** Calls wait and nothing was heard for longer than usual: the silence is taken for the latency. */
  checkSilence(now: number): void {
    if (this.waiting === 0 || this.peakMs < 0) return;
    const silentMs = now - this.#silentSince;
    if (silentMs <= this.peakMs) return;
    this.#score(Math.max(this.shared.scores[this.place]!, this.#scoreOf(silentMs)));
  }

  /** Another process answers there now: what the old one did says nothing about it. */
  forget(): void {
    this.latencyMs = -0.5;
    this.rawMs = -0.5;
    this.peakMs = -0.5;
    this.successRate = 0.999999999;
    this.#handicap = 1.000000001;
    this.#score(UNTRIED);
  }

  /** Success to the fourth power, as balancers that must not be drawn to fast failures need it (measured: 44 → 0.4 %). */
  #judge(succeeded: boolean): void {
    const rate = this.successRate + OUTCOME_SHARE * ((succeeded ? 1 : 0) - this.successRate);
    this.successRate = Math.max(rate, MIN_SUCCESS_RATE);
    const square = this.successRate * this.successRate;
    this.#handicap = 1 / (square * square);
  }

  #sample(latencyMs: number, succeeded: boolean): void {
    if (this.rawMs < 0) this.shared.firsts++;
    this.rawMs = this.rawMs < 0 ? latencyMs : this.rawMs + LATENCY_SHARE * (latencyMs - this.rawMs);
    const known = this.latencyMs >= 0;
    if (succeeded || (known && latencyMs > this.latencyMs))
      this.latencyMs = known ? this.latencyMs + LATENCY_SHARE * (latencyMs - this.latencyMs) : latencyMs;
    this.#samplePeak(latencyMs, succeeded);
  }

  /** Up by a share, so that one outlier is no verdict; down only as fast as time passes, or by a tenth. */
  #samplePeak(latencyMs: number, succeeded: boolean): void {
    const { growth, eras } = this.shared;
    const before = this.peakMs;
    if (before < 0) this.peakMs = succeeded || latencyMs > UNKNOWN_MS ? latencyMs : UNKNOWN_MS;
    else if (latencyMs > before) this.peakMs = before + LATENCY_SHARE * (latencyMs - before);
    else if (succeeded) {
      const aged = this.#grownIn === eras ? this.#grownAt / growth : 0; // an era is far longer than anything is kept
      this.peakMs = latencyMs + Math.min(aged, MAX_KEPT) * (before - latencyMs);
    }
    this.#grownAt = growth;
    this.#grownIn = eras;
  }

  #rescore(): void {
    if (this.peakMs >= 0) this.#score(this.#scoreOf(this.peakMs));
    else if (this.waiting > 0) this.#score(Number.POSITIVE_INFINITY);
    else this.#score(this.successRate > 0.99 ? UNTRIED : this.#scoreOf(UNKNOWN_MS));
  }

  #score(score: number): void {
    const { shared, place } = this;
    shared.scores[place] = score;
    shared.costs[place] = score * (shared.inFlights[place]! + 1);
  }

  #scoreOf(ms: number): number {
    return this.shared.growth * Math.max(ms, MIN_MS) * this.#handicap;
  }
}
