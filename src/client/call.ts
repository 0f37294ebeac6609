import type { HashKey } from "../balancer/request-key.js";
import type { Endpoint } from "../endpoint/endpoint.js";
import { DiscoveryError } from "../model/errors.js";
import type { Cancel } from "../runtime/clock.js";
import { channels } from "../runtime/diagnostics.js";
import { backoff } from "../runtime/retry.js";
import { marked, whyNotAgain } from "./again.js";
import { Attempt, type AttemptOwner, type DispatchOptions } from "./attempt.js";
import type { Caller } from "./caller.js";
import { givenUp } from "./failure.js";
import { type Handler, olderForm } from "./handler.js";
import { HedgeTimer } from "./hedging.js";
import type { CallOptions, CallSettings } from "./options.js";
import { retryAfterMs } from "./retry-after.js";

/** Between two tries: short, because the next one goes to another instance. */
const RETRY_PAUSE = { firstMs: 25, factor: 2, capMs: 250 } as const;
/** Why the slower of two tries is ended; nobody ever sees it. */
const LOST = new Error("Another instance answered first");

/** A try lasts at most so many times its own time, however short of processor time this process is. */
const PROLONGED = 3;

/** One call to a service, over as many tries as it takes. State for retries is made when the first one is due. */
export class Call implements AttemptOwner {
  readonly handler: Handler;
  readonly #caller: Caller;
  readonly #options: DispatchOptions & CallOptions;
  readonly #settings: CallSettings;
  readonly #endsAt: number;
  readonly #key: HashKey | undefined;
  #tried: Endpoint[] | undefined = undefined;
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
    this.#options = options;
    this.#settings = settings;
    this.#key = caller.keyOf(options);
    this.handler = olderForm(handler);
    const now = caller.ground.clock.now();
    this.#endsAt = now + settings.timeoutMs;
    this.#secure = String(options.origin).startsWith("https:");
    caller.budget.requested(now);
    this.#start(now);
  }

  get stalledAt(): number {
    return this.#caller.ground.clock.stalledAt;
  }

  get lostMs(): number {
    return this.#caller.ground.lag.lostMs;
  }

  now(): number {
    return this.#caller.ground.clock.now();
  }

  /** An instance has its whole time, and this process to hear it; the caller's own time is not prolonged. */
  prolonged(attempt: Attempt): boolean {
    const { lag, deadlines } = this.#caller.ground;
    const now = this.now();
    const lostMs = lag.lostBy(now);
    const owedMs = Math.min(lostMs - attempt.lostBefore, now - attempt.startedAt); // a stall may be older than the attempt
    const latest = Math.min(this.#endsAt, attempt.startedAt + PROLONGED * this.#settings.tryTimeoutMs);
    if (owedMs <= 0 || attempt.dueAt >= latest) return false;
    attempt.lostBefore = lostMs;
    deadlines.add(attempt, Math.min(attempt.dueAt + owedMs, latest));
    return true;
  }

  settled(attempt: Attempt): void {
    this.#caller.ground.deadlines.remove(attempt);
    this.#caller.ground.lag.left();
  }

  overloaded({ endpoint }: Attempt, headers: readonly Buffer[]): void {
    endpoint.ejection.askedMs = retryAfterMs(headers, this.#caller.ground.clock.wall());
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
    if (this.#whyNotAgain(sent) !== undefined || this.now() >= this.#endsAt) return false;
    const next = this.#chooseOther(attempt.endpoint);
    if (!next || !this.#caller.budget.take(this.now())) return false;
    this.#sent = sent;
    this.#again(next, attempt, undefined, RETRY_PAUSE);
    return true;
  }

  failed(attempt: Attempt, error: unknown, unsent: boolean, elsewhere: boolean): void {
    if (this.#over) return;
    if (!elsewhere) return this.#fail(error);
    if (!unsent) this.#sent++;
    if (this.#isBesides(attempt)) return;
    if (this.now() >= this.#endsAt) return this.#giveUp(attempt, error, `Its ${this.#settings.timeoutMs} ms are over.`);
    const why = unsent ? undefined : this.#whyNotAgain(this.#sent);
    if (why !== undefined) return this.#giveUp(attempt, error, why);
    const next = this.#chooseOther(attempt.endpoint);
    if (!next) return this.#giveUp(attempt, error, "No other instance is left to try.");
    if (!unsent && !this.#caller.budget.take(this.now())) {
      return this.#giveUp(attempt, error, "The retry budget is used up: too many calls fail.");
    }
    this.#again(next, attempt, error, unsent ? undefined : RETRY_PAUSE);
  }

  ended(attempt: Attempt): void {
    if (this.#attempt === attempt) this.#attempt = undefined;
    if (this.#rival === attempt) this.#rival = undefined;
  }

  /** The first try takes longer than most: asks another instance besides, if that is safe and the budget allows. */
  hedge(): void {
    const first = this.#attempt;
    if (this.#over || !first || this.#pause || this.#whyNotAgain(this.#sent + 1) !== undefined) return;
    const now = this.now();
    const next = this.#chooseOther(first.endpoint);
    if (!next || now >= this.#endsAt || !this.#caller.budget.take(now)) return;
    this.#try(next, now, this.#sent + 2, true);
  }

  #start(now: number): void {
    this.handler.onConnect?.((reason) => this.#cancel(reason ?? new DiscoveryError("CLOSED", "The call was aborted")));
    if (this.#over) return;
    const endpoint = this.#caller.choose(this.#key === undefined ? undefined : { key: this.#key });
    if (endpoint && this.#speaks(endpoint)) this.#first(endpoint, now);
    else if (endpoint) this.#orFail(() => this.#otherProtocol(endpoint));
    else void this.#wait(now);
  }

  async #wait(now: number): Promise<void> {
    try {
      const endpoint = await this.#caller.chooseEventually({ key: this.#key }, undefined, this.#endsAt - now);
      if (this.#over) return;
      if (this.#speaks(endpoint)) this.#first(endpoint, this.now());
      else this.#otherProtocol(endpoint);
    } catch (error) {
      if (!this.#over) this.#fail(error);
    }
  }

  #first(endpoint: Endpoint, now: number): void {
    const { hedging, ground } = this.#caller;
    if (hedging !== undefined && !this.#options.upgrade) {
      this.#hedge = new HedgeTimer(this, now);
      if (hedging.delayMs < this.#settings.tryTimeoutMs) ground.hedges.add(this.#hedge, now + hedging.delayMs);
    }
    this.#try(endpoint, now, 1);
  }

  #next(endpoint: Endpoint): void {
    this.#try(endpoint, this.now(), this.#sent + 1);
  }

  /** @param sent how often the call will then have been sent */
  #try(endpoint: Endpoint, now: number, sent: number, isRival = false): void {
    const { pools, deadlines, lag, retryHeader } = this.#caller.ground;
    const attempt = new Attempt(this, endpoint, now);
    if (isRival) this.#rival = attempt;
    else this.#attempt = attempt; // before it is dispatched: it may fail at once
    this.#tries++;
    lag.entered();
    deadlines.add(attempt, Math.min(now + this.#settings.tryTimeoutMs, this.#endsAt));
    const isRetry = sent > 1 && retryHeader !== undefined;
    pools.of(endpoint, now).dispatch(isRetry ? marked(this.#options, sent, retryHeader) : this.#options, attempt);
  }

  /** Whether another try is under way beside this one. */
  #isBesides(attempt: Attempt): boolean {
    const others = this.#attempt === attempt ? this.#rival : (this.#attempt ?? this.#rival);
    return others !== undefined && others !== attempt;
  }

  #won(winner: Attempt, hedge: HedgeTimer): void {
    const { ground, hedging } = this.#caller;
    ground.hedges.remove(hedge);
    hedging?.answered(this.now() - hedge.begunAt);
    const loser = this.#attempt === winner ? this.#rival : this.#attempt;
    this.#attempt = winner;
    this.#rival = undefined;
    loser?.cancel(LOST);
  }

  /** Goes on at `next`, after a pause if the call may have been processed. */
  #again(next: Endpoint, last: Attempt, error: unknown, pause: typeof RETRY_PAUSE | undefined): void {
    const { clock, random } = this.#caller.ground;
    if (channels.retry.hasSubscribers) {
      const { instance } = last.endpoint;
      const { isTrial } = last;
      channels.retry.publish({ service: this.#caller.name, instance, error, attempt: this.#tries, isTrial });
    }
    if (!pause) return this.#next(next);
    this.#pause = clock.schedule(backoff(pause, this.#sent, random), () => {
      this.#pause = undefined;
      if (!this.#over) this.#next(next);
    });
  }

  #chooseOther(failed: Endpoint): Endpoint | undefined {
    this.#tried ??= [];
    if (!this.#tried.includes(failed)) this.#tried.push(failed);
    for (;;) {
      const next = this.#caller.choose({ key: this.#key, tried: this.#tried });
      if (!next || this.#speaks(next)) return next;
      this.#tried.push(next);
    }
  }

  #otherProtocol(first: Endpoint): void {
    const next = this.#chooseOther(first);
    if (next) return this.#first(next, this.now());
    const wanted = this.#secure ? "https" : "http or https";
    throw new DiscoveryError("NO_MATCH", `No instance of "${this.#caller.name}" speaks ${wanted}`, {
      service: this.#caller.name,
      counts: { known: this.#tried?.length ?? 0, [wanted]: 0 },
    });
  }

  #speaks({ instance: { protocol } }: Endpoint): boolean {
    return protocol === "https" || (protocol === "http" && !this.#secure);
  }

  #whyNotAgain(sent: number): string | undefined {
    return whyNotAgain(this.#options, sent, this.#settings.tries, this.#caller.ground.retryHeader);
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
    if (this.#hedge) this.#caller.ground.hedges.remove(this.#hedge);
    this.#attempt?.cancel(reason);
    this.#rival?.cancel(reason);
  }
}
