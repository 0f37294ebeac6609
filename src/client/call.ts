import type { PickContext } from "../balancer/balancer.js";
import type { Endpoint } from "../endpoint/endpoint.js";
import { DiscoveryError } from "../model/errors.js";
import type { Cancel, Clock, Random } from "../runtime/clock.js";
import { channels } from "../runtime/diagnostics.js";
import type { LagWatch } from "../runtime/lag.js";
import { backoff } from "../runtime/retry.js";
import { Attempt, type AttemptOwner, type DispatchOptions } from "./attempt.js";
import type { Deadlines } from "./deadlines.js";
import { givenUp, isIdempotent, isReplayable } from "./failure.js";
import { type Handler, olderForm } from "./handler.js";
import type { CallOptions, CallSettings } from "./options.js";
import type { Pools } from "./pools.js";
import { retryAfterMs } from "./retry-after.js";
import type { RetryBudget } from "./retry-budget.js";

/** Between two tries: short, because the next one goes to another instance. */
const RETRY_PAUSE = { firstMs: 25, factor: 2, capMs: 250 } as const;

/** What all calls of a resolver share. */
export interface Ground {
  readonly pools: Pools;
  readonly deadlines: Deadlines;
  readonly lag: LagWatch;
  readonly clock: Clock;
  readonly random: Random;
}

/** What all calls of a service share. */
export interface Caller {
  readonly name: string;
  readonly ground: Ground;
  readonly budget: RetryBudget;
  /** The call's own key, or what a rule finds where keys matter. */
  keyOf(options: DispatchOptions & CallOptions): string | undefined;
  choose(context: PickContext | undefined): Endpoint | undefined;
  chooseEventually(
    context: PickContext | undefined,
    signal: AbortSignal | undefined,
    limitMs: number,
  ): Promise<Endpoint>;
}

/** One call to a service, over as many tries as it takes. State for retries is made when the first one is due. */
export class Call implements AttemptOwner {
  readonly handler: Handler;
  readonly #caller: Caller;
  readonly #options: DispatchOptions & CallOptions;
  readonly #settings: CallSettings;
  readonly #endsAt: number;
  readonly #key: string | undefined;
  #tried: Endpoint[] | undefined = undefined;
  #sent = 0;
  #tries = 0;
  #attempt: Attempt | undefined = undefined;
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

  now(): number {
    return this.#caller.ground.clock.now();
  }

  settled(attempt: Attempt): void {
    this.#caller.ground.deadlines.remove(attempt);
    this.#caller.ground.lag.left();
  }

  overloaded({ endpoint }: Attempt, headers: readonly Buffer[]): void {
    endpoint.ejection.askedMs = retryAfterMs(headers, this.#caller.ground.clock.wall());
  }

  delivering(): void {
    this.#over = true;
  }

  /** While nothing was delivered and the budget allows, an overloaded instance's answer is dropped. */
  mayDrop(attempt: Attempt): boolean {
    const sent = this.#sent + 1;
    if (!this.#maySendAgain(sent) || this.now() >= this.#endsAt) return false;
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
    if (this.now() >= this.#endsAt) return this.#giveUp(attempt, error, `Its ${this.#settings.timeoutMs} ms are over.`);
    if (!unsent && !this.#maySendAgain(this.#sent)) return this.#giveUp(attempt, error, this.#whyNotAgain());
    const next = this.#chooseOther(attempt.endpoint);
    if (!next) return this.#giveUp(attempt, error, "No other instance is left to try.");
    if (!unsent && !this.#caller.budget.take(this.now())) {
      return this.#giveUp(attempt, error, "The retry budget is used up: too many calls fail.");
    }
    this.#again(next, attempt, error, unsent ? undefined : RETRY_PAUSE);
  }

  ended(attempt: Attempt): void {
    if (this.#attempt === attempt) this.#attempt = undefined;
  }

  #start(now: number): void {
    this.handler.onConnect?.((reason) => this.#cancel(reason ?? new DiscoveryError("CLOSED", "The call was aborted")));
    if (this.#over) return;
    const endpoint = this.#caller.choose(this.#key === undefined ? undefined : { key: this.#key });
    if (endpoint && this.#speaks(endpoint)) this.#try(endpoint, now);
    else if (endpoint) this.#orFail(() => this.#otherProtocol(endpoint));
    else void this.#wait(now);
  }

  async #wait(now: number): Promise<void> {
    try {
      const endpoint = await this.#caller.chooseEventually({ key: this.#key }, undefined, this.#endsAt - now);
      if (this.#over) return;
      if (this.#speaks(endpoint)) this.#try(endpoint, this.now());
      else this.#otherProtocol(endpoint);
    } catch (error) {
      if (!this.#over) this.#fail(error);
    }
  }

  #try(endpoint: Endpoint, now: number): void {
    const { pools, deadlines, lag } = this.#caller.ground;
    const attempt = new Attempt(this, endpoint, now);
    this.#attempt = attempt;
    this.#tries++;
    lag.entered();
    deadlines.add(attempt, Math.min(now + this.#settings.tryTimeoutMs, this.#endsAt));
    pools.of(endpoint, now).dispatch(this.#options, attempt);
  }

  /** Goes on at `next`, after a pause if the call may have been processed. */
  #again(next: Endpoint, last: Attempt, error: unknown, pause: typeof RETRY_PAUSE | undefined): void {
    const { clock, random } = this.#caller.ground;
    if (channels.retry.hasSubscribers) {
      const { instance } = last.endpoint;
      const { isTrial } = last;
      channels.retry.publish({ service: this.#caller.name, instance, error, attempt: this.#tries, isTrial });
    }
    if (!pause) return this.#try(next, this.now());
    this.#pause = clock.schedule(backoff(pause, this.#sent, random), () => {
      this.#pause = undefined;
      if (!this.#over) this.#try(next, this.now());
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
    if (next) return this.#try(next, this.now());
    const wanted = this.#secure ? "https" : "http or https";
    throw new DiscoveryError("NO_MATCH", `No instance of "${this.#caller.name}" speaks ${wanted}`, {
      service: this.#caller.name,
      counts: { known: this.#tried?.length ?? 0, [wanted]: 0 },
    });
  }

  #speaks({ instance: { protocol } }: Endpoint): boolean {
    return protocol === "https" || (protocol === "http" && !this.#secure);
  }

  #maySendAgain(sent: number): boolean {
    const { idempotent, method, body } = this.#options;
    return sent < this.#settings.tries && isReplayable(body) && (idempotent ?? isIdempotent(method));
  }

  #whyNotAgain(): string {
    const { idempotent, method, body } = this.#options;
    if (!isReplayable(body)) return "It may have been processed, and its body is a stream that was read.";
    if (!(idempotent ?? isIdempotent(method))) return `It may have been processed, and ${method} is not sent twice.`;
    return `It was sent ${this.#sent} times, the most that is allowed.`;
  }

  #giveUp(attempt: Attempt, error: unknown, why: string): void {
    this.#fail(givenUp(this.#caller.name, this.#tries, attempt.endpoint.instance, error, why));
  }

  #fail(error: unknown): void {
    this.#over = true;
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
    const attempt = this.#attempt;
    if (this.#over) {
      attempt?.cancel(reason); // the headers are out: undici ends the body and tells the handler
      return;
    }
    this.#over = true;
    this.#pause?.();
    attempt?.cancel(reason);
    this.handler.onError?.(reason);
  }
}
