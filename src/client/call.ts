import type { HashKey } from "../balancer/request-key.js";
import type { Endpoint } from "../endpoint/endpoint.js";
import { DiscoveryError } from "../model/errors.js";
import { type Cancel, scheduleAwaited } from "../runtime/clock.js";
import { channels } from "../runtime/diagnostics.js";
import { backoff } from "../runtime/retry.js";
import { marked, whyNotAgain } from "./again.js";
import { Attempt, type AttemptOwner } from "./attempt.js";
import type { Caller, Ground } from "./caller.js";
import { Candidates, speaks } from "./candidates.js";
import { type Again, givenUp } from "./failure.js";
import { following } from "./followed-body.js";
import { type DispatchOptions, type Handler, olderForm } from "./handler.js";
import { HedgeTimer } from "./hedging.js";
import type { CallOptions, CallSettings } from "./options.js";
import { retryAfterMs } from "./retry-after.js";

/** Between two tries: short, because the next one goes to another instance. */
const RETRY_PAUSE = { firstMs: 25, factor: 2, capMs: 250 } as const;
/** Why the slower of two tries is ended; nobody ever sees it. */
const LOST = new Error("Another instance answered first");

/** One call to a service, over as many tries as it takes. State for retries is made when the first one is due. */
export class Call implements AttemptOwner {
  readonly handler: Handler;
  readonly ground: Ground;
  readonly endsAt: number;
  readonly #caller: Caller;
  readonly #options: DispatchOptions & CallOptions;
  readonly #settings: CallSettings;
  readonly #key: HashKey | undefined;
  #candidates: Candidates | undefined = undefined;
  #sent = 0;
  #tries = 0;
  #attempt: Attempt | undefined = undefined;
  /** A second try beside the first; whichever answers first wins. */
  #rival: Attempt | undefined = undefined;
  #hedge: HedgeTimer | undefined = undefined;
  #pause: Cancel | undefined = undefined;
  #over = false;
  readonly #secure: boolean;

  constructor(caller: Caller, options: DispatchOptions & CallOptions, settings: CallSettings, handler: Handler) {
    this.#caller = caller;
    this.ground = caller.ground;
    this.#options = following(options);
    this.#settings = settings;
    this.#key = caller.keyOf(options);
    this.handler = olderForm(handler);
    const now = this.#now();
    this.endsAt = now + settings.timeoutMs;
    this.#secure = String(options.origin).startsWith("https:");
    caller.budget.requested(now);
    this.#start(now);
  }

  get body(): unknown {
    return this.#options.body;
  }

  get tryTimeoutMs(): number {
    return this.#settings.tryTimeoutMs;
  }

  overloaded({ endpoint }: Attempt, headers: readonly Buffer[]): void {
    endpoint.ejection.askedMs = retryAfterMs(headers, this.ground.clock.wall());
  }

  delivering(winner: Attempt): void {
    this.#over = true;
    if (this.#hedge) this.#won(winner, this.#hedge);
  }

  /** While nothing was delivered and the budget allows, an overloaded instance's answer is dropped. */
  mayDrop(attempt: Attempt): boolean {
    const sent = this.#sent + 1;
    if (this.#isBesides(attempt)) {
      this.#sent = sent;
      this.ended(attempt); // the other one may still answer
      return true;
    }
    const now = this.#now();
    if (this.#whyNotAgain(sent, now) !== undefined || now >= this.endsAt) return false;
    const next = this.#other(attempt.endpoint);
    if (this.#over) return true;
    if (!next) return false;
    this.#caller.budget.take(now);
    this.#sent = sent;
    this.#again(next, attempt, undefined, RETRY_PAUSE);
    return true;
  }

  failed(attempt: Attempt, error: unknown, unsent: boolean, again: Again): void {
    if (this.#over) return;
    if (again === "never") return this.#fail(error);
    if (!unsent) this.#sent++;
    if (this.#isBesides(attempt)) return;
    const now = this.#now();
    if (now >= this.endsAt) return this.#giveUp(attempt, error, `Its ${this.#settings.timeoutMs} ms are over.`);
    const why = unsent ? undefined : this.#whyNotAgain(this.#sent, now);
    if (why !== undefined) return this.#giveUp(attempt, error, why);
    const next = this.#other(attempt.endpoint);
    if (this.#over) return;
    if (!next)
      return attempt.keepsTurn() ? undefined : this.#giveUp(attempt, error, "No other instance is left to try.");
    if (!unsent) this.#caller.budget.take(now);
    this.#again(next, attempt, error, unsent ? undefined : RETRY_PAUSE);
  }

  ended(attempt: Attempt): void {
    if (this.#attempt === attempt) this.#attempt = undefined;
    if (this.#rival === attempt) this.#rival = undefined;
  }

  /** The first try takes longer than most: asks another instance besides, if that is safe and the budget allows. */
  hedge(): void {
    const first = this.#attempt;
    const now = this.#now();
    if (this.#over || !first || this.#pause || now >= this.endsAt) return;
    if (this.#whyNotAgain(this.#sent + 1, now) !== undefined) return;
    const next = this.#other(first.endpoint);
    if (!next) return;
    this.#caller.budget.take(now);
    this.#others().leaveOut(next); // it may fail before the first does
    this.#try(next, now, this.#sent + 2, true);
  }

  #start(now: number): void {
    this.handler.onConnect?.((reason) => this.#cancel(reason ?? new DiscoveryError("CLOSED", "The call was aborted")));
    if (this.#over) return;
    const endpoint = this.#caller.choose(this.#key === undefined ? undefined : { key: this.#key });
    if (endpoint && speaks(endpoint, this.#secure)) this.#first(endpoint, now);
    else if (endpoint) this.#orFail(() => this.#first(this.#others().besidesOrThrow(endpoint), now));
    else void this.#wait(now);
  }

  async #wait(now: number): Promise<void> {
    try {
      const endpoint = await this.#caller.chooseEventually({ key: this.#key }, undefined, this.endsAt - now);
      if (this.#over) return;
      this.#first(speaks(endpoint, this.#secure) ? endpoint : this.#others().besidesOrThrow(endpoint), this.#now());
    } catch (error) {
      if (!this.#over) this.#fail(error);
    }
  }

  #first(chosen: Endpoint, now: number): void {
    const endpoint = this.ground.pools.isFull(chosen) ? this.#others().insteadOf(chosen) : chosen;
    const { hedging } = this.#caller;
    if (hedging !== undefined && !this.#options.upgrade) {
      this.#hedge = new HedgeTimer(this, now);
      if (hedging.delayMs < this.#settings.tryTimeoutMs) this.ground.hedges.add(this.#hedge, now + hedging.delayMs);
    }
    this.#try(endpoint, now, 1);
  }

  #next(endpoint: Endpoint): void {
    this.#try(endpoint, this.#now(), this.#sent + 1);
  }

  /** @param sent how often the call will then have been sent */
  #try(endpoint: Endpoint, now: number, sent: number, isRival = false): void {
    const { pools, retryHeader } = this.ground;
    const lane = pools.of(endpoint, now);
    const attempt = new Attempt(this, endpoint, lane, now);
    if (isRival) this.#rival = attempt;
    else this.#attempt = attempt; // before it is dispatched: it may fail at once
    this.#tries++;
    const isRetry = sent > 1 && retryHeader !== undefined;
    lane.pool.dispatch(isRetry ? marked(this.#options, sent, retryHeader) : this.#options, attempt);
  }

  /** Whether another try is under way beside this one. */
  #isBesides(attempt: Attempt): boolean {
    const others = this.#attempt === attempt ? this.#rival : (this.#attempt ?? this.#rival);
    return others !== undefined && others !== attempt;
  }

  #won(winner: Attempt, hedge: HedgeTimer): void {
    this.ground.hedges.remove(hedge);
    this.#caller.hedging?.answered(this.#now() - hedge.begunAt);
    const loser = this.#attempt === winner ? this.#rival : this.#attempt;
    this.#attempt = winner;
    this.#rival = undefined;
    loser?.cancel(LOST);
  }

  /** Goes on at `next`, after a pause if the call may have been processed. */
  #again(next: Endpoint, last: Attempt, error: unknown, pause: typeof RETRY_PAUSE | undefined): void {
    this.#tell(last, error);
    if (pause) this.#after(backoff(pause, this.#sent, this.ground.random), next);
    else this.#next(next);
  }

  #after(pauseMs: number, next: Endpoint): void {
    const cancel = scheduleAwaited(this.ground.clock, pauseMs, () => {
      this.#pause = undefined;
      const there = next.hasLeft ? (this.#other(next) ?? next) : next;
      if (!this.#over) this.#next(there);
    });
    this.#pause = () => {
      cancel();
      next.notCalled();
    };
  }

  #tell({ endpoint: { instance }, isTrial }: Attempt, error: unknown): void {
    if (!channels.retry.hasSubscribers) return;
    channels.retry.publish({ service: this.#caller.name, instance, error, attempt: this.#tries, isTrial });
  }

  /** Who else may be asked. What a balancer throws ends the call: thrown into undici or a timer it would end the process. */
  #other(than: Endpoint): Endpoint | undefined {
    try {
      return this.#others().besides(than);
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  #others(): Candidates {
    this.#candidates ??= new Candidates(this.#caller, this.#key, this.#secure);
    return this.#candidates;
  }

  #now(): number {
    return this.ground.clock.now();
  }

  #whyNotAgain(sent: number, now: number): string | undefined {
    const why = whyNotAgain(this.#options, sent, this.#settings.tries, this.ground.retryHeader);
    if (why !== undefined || this.#caller.budget.allows(now)) return why;
    return "The retry budget is used up: too many calls fail.";
  }

  #giveUp(attempt: Attempt, error: unknown, why: string): void {
    this.#fail(givenUp(this.#caller.name, this.#tries, attempt.endpoint.instance, error, why));
  }

  #fail(error: unknown): void {
    this.#over = true;
    this.#letGo(error as Error);
    this.handler.onError?.(error as Error);
  }

  #orFail(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#fail(error);
    }
  }

  #cancel(reason: Error): void {
    if (this.#over) {
      this.#attempt?.cancel(reason); // the headers are out: undici ends the body and tells the handler
      return;
    }
    this.#over = true;
    this.#pause?.();
    this.#letGo(reason);
    this.handler.onError?.(reason);
  }

  /** Ends every try that is under way, and every plan for another. */
  #letGo(reason: Error): void {
    if (this.#hedge) this.ground.hedges.remove(this.#hedge);
    this.#attempt?.cancel(reason);
    this.#rival?.cancel(reason);
  }
}
