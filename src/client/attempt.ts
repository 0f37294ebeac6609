import type { Endpoint, Outcome } from "../endpoint/endpoint.js";
import { DiscoveryError } from "../model/errors.js";
import { utilizationIn } from "../runtime/load-header.js";
import { type Again, isWaitedFor, outcomeOf, verdictOn, worthRetrying } from "./failure.js";
import type { Handler } from "./handler.js";
import type { Lane } from "./pools.js";
import { Timed, type Timing } from "./timed.js";

/** A refused response is read to its end, to keep the connection, unless it is longer than this, in bytes. */
const MAX_DISCARDED = 64 * 1024;

/** What an attempt asks of its call. */
export interface AttemptOwner extends Timing {
  readonly handler: Handler;
  readonly body: unknown;
  /** The instance answered 429 or 503; it may have said for how long to leave it alone. */
  overloaded(attempt: Attempt, headers: readonly Buffer[]): void;
  /** Headers are about to be delivered: nothing can be tried elsewhere any more. */
  delivering(attempt: Attempt): void;
  /** May a response of this status be dropped, and the call made elsewhere? */
  mayDrop(attempt: Attempt): boolean;
  /** No headers were delivered: the call decides what is next. */
  failed(attempt: Attempt, error: unknown, unsent: boolean, again: Again): void;
  /** This attempt holds nothing any more. */
  ended(attempt: Attempt): void;
}

/**
 * One try of a call at one endpoint: undici tells it what happens, it tells the endpoint and the caller.
 *
 * Where all sockets to the instance are taken it waits for one, which is our own limit and nothing the instance did: its
 * time begins when it gets one. Having waited for as long as a try may take it goes elsewhere, and blames nobody; nothing
 * was sent, so that costs no instance anything and needs no budget. Where nobody else is left it keeps its turn. What
 * an instance is blamed for is a socket that was free and could not be connected, and a request that was sent.
 */
export class Attempt extends Timed implements Handler {
  readonly endpoint: Endpoint;
  /** Whether it tries if an ejected endpoint may come back. */
  readonly isTrial: boolean;
  readonly #owner: AttemptOwner;
  readonly #life: number;
  readonly #lane: Lane;
  #isQueued: boolean;
  #abort: ((reason?: Error) => void) | undefined = undefined;
  #timeout: DiscoveryError | undefined = undefined;
  #detached: Error | undefined = undefined;
  #settled = false;
  #delivered = false;
  #ended = false;
  #discarded = -1;
  /** The instance was sent all of the request: from then on it owes an answer. */
  #isWhole = false;

  constructor(owner: AttemptOwner, endpoint: Endpoint, lane: Lane, now: number) {
    super(owner, now);
    this.#owner = owner;
    this.endpoint = endpoint;
    this.isTrial = endpoint.ejection.onTrial;
    this.#life = endpoint.life;
    this.#lane = lane;
    this.#isQueued = ++lane.calls > lane.sockets;
    endpoint.begin(now);
  }

  /** The caller wants no answer any more. */
  cancel(reason: Error): void {
    this.#settle("cancelled");
    if (this.#abort) this.#abort(reason);
    else this.#detach(reason);
  }

  /** Nobody else is left to ask: it may keep its turn, if all it waits for is a socket, and it still waits. */
  keepsTurn(): boolean {
    const waits = this.#isQueued && !this.#ended;
    if (waits) this.waitOn();
    return waits;
  }

  protected override timedOut(): void {
    const error = new DiscoveryError("TIMEOUT", this.#whatLacked());
    if (this.#discarded >= 0) return this.#abort?.();
    if (this.#abort) {
      this.#timeout = error;
      return this.#abort(error); // comes back as onError
    }
    if (!this.#isQueued) this.#settle("failure");
    this.#owner.failed(this, error, true, "elsewhere");
    if (this.waiting) return;
    this.#settle("cancelled");
    this.#detach(error);
  }

  onConnect(abort: (reason?: Error) => void): void {
    if (this.#detached) throw this.#detached; // before a byte is written; the connection stays
    this.#abort = abort;
    if (!this.#isQueued) return;
    this.#isQueued = false;
    this.restart();
  }

  onHeaders(status: number, headers: Buffer[], resume: () => void, statusText: string): boolean {
    const { handler } = this.#owner;
    if (status < 200) return handler.onHeaders?.(status, headers, resume, statusText) ?? true;
    const outcome = outcomeOf(status);
    const isHeard = this.endpoint.life === this.#life; // else it speaks of a process that is gone
    if (outcome === "overloaded" && isHeard) this.#owner.overloaded(this, headers);
    this.#settle(outcome);
    if (this.endpoint.isAsked && isHeard) this.#hear(headers);
    if (worthRetrying(status) && this.#owner.mayDrop(this)) {
      this.#discarded = 0;
      if (!this.#ended) this.restart(); // what is left of it may take as long as a try
      return true;
    }
    this.#delivered = true;
    this.#owner.delivering(this);
    return handler.onHeaders?.(status, headers, resume, statusText) ?? true;
  }

  onData(chunk: Buffer): boolean {
    if (this.#discarded < 0) return this.#owner.handler.onData?.(chunk) ?? true;
    this.#discarded += chunk.length;
    if (this.#discarded > MAX_DISCARDED) this.#abort?.();
    return true;
  }

  onComplete(trailers: string[] | null): void {
    this.#end();
    if (this.#discarded < 0) this.#owner.handler.onComplete?.(trailers);
  }

  onUpgrade(status: number, headers: Buffer[] | string[] | null, socket: never): void {
    this.#settle(outcomeOf(status));
    this.#delivered = true;
    this.#owner.delivering(this);
    this.#end();
    this.#owner.handler.onUpgrade?.(status, headers, socket);
  }

  onError(error: Error): void {
    if (this.#detached || this.#ended) return;
    if (this.#discarded >= 0) return this.#end();
    const unsent = this.#abort === undefined;
    if (this.#delivered) {
      this.#end();
      this.#owner.handler.onError?.(error); // the body broke off: the caller has the headers already
      return;
    }
    const cause = this.#timeout ?? error;
    const { outcome, again } = verdictOn(cause, unsent, this.#owner.body);
    const isOurs = this.#timeout !== undefined && !this.#isWhole && isWaitedFor(this.#owner.body);
    this.#settle(isOurs ? "cancelled" : outcome);
    this.#end();
    this.#owner.failed(this, cause, unsent, again);
  }

  onBodySent(chunkSize: number, totalBytesSent: number): void {
    this.#owner.handler.onBodySent?.(chunkSize, totalBytesSent);
  }

  onRequestSent(): void {
    this.#isWhole = true;
    (this.#owner.handler as { onRequestSent?: () => void }).onRequestSent?.();
  }

  onResponseStarted(): void {
    this.#owner.handler.onResponseStarted?.();
  }

  #whatLacked(): string {
    const { id } = this.endpoint.instance;
    const within = `within ${Math.round(this.dueAt - this.startedAt)} ms`;
    if (this.#isQueued) return `${id} had none of its ${this.#lane.sockets} connections to spare ${within}`;
    return this.#abort ? `${id} sent no response headers ${within}` : `${id} accepted no connection ${within}`;
  }

  /** Only the first outcome counts. */
  #settle(outcome: Outcome): void {
    if (this.#settled) return;
    this.#settled = true;
    const now = this.stop();
    this.endpoint.settle(outcome, this.tookMs(now), now, this.#life);
  }

  /** Somebody wants to know what the instance says of its load. */
  #hear(headers: readonly Buffer[]): void {
    const utilization = utilizationIn(headers);
    if (utilization !== undefined) this.endpoint.report(utilization, this.#owner.ground.clock.now());
  }

  /** It waits for a connection in undici's queue and cannot be taken out: it will be refused when its turn comes. */
  #detach(reason: Error): void {
    this.#detached = reason;
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.release();
    this.#lane.calls--;
    this.endpoint.end();
    this.#owner.ended(this);
  }
}
