import { DiscoveryError } from "../model/errors.js";
import type { RegistryUpdate } from "../model/update.js";
import type { Discovery } from "../registry/registry.js";
import type { Scope } from "../runtime/clock.js";
import { haltSignal, linked, within } from "../runtime/deadline.js";
import { askedPauseMs, backoff, KNOCK, RECONNECT } from "../runtime/retry.js";
import { type Comeback, comebackOf } from "./comeback.js";
import type { Membership } from "./membership.js";

/** Two watches of one service begin at least this far apart, in milliseconds (consul-template learnt it the hard way). */
const LOOP_FLOOR_MS = 100;
/** A watch that is over sooner, in milliseconds, has failed, whatever it said: some proxies cut each after its first word. */
const LASTING_MS = 1_000;
/** A registry that was asked for a list answers within this, in milliseconds, or counts as away (Nacos: 3 s). */
const PULL_TIMEOUT_MS = 3_000;
/**
 * Pulls that callers ask for are at least this far apart, in milliseconds (go-zero, kratos: 1 s); those of a name the
 * registry keeps not knowing twice as far each time, up to the cap: whoever calls a name that is wrong calls it often.
 */
const NUDGE_FLOOR_MS = 1_000;
const NUDGE_CAP_MS = 10_000;
/** The share by which a pull may come early or late, so that a fleet does not ask in step. */
const JITTER = 0.1;

/** A service that fails where others are answered pauses for up to so many times `refreshMs`: by then they have asked again. */
const OWN_SHARE = 1.5;

/** What a refresh needs of whoever it keeps up to date. */
export interface RefreshOptions {
  readonly source: Discovery;
  readonly service: string;
  readonly membership: Membership;
  /** Time between two pulls beside the watch, in milliseconds. */
  readonly refreshMs: number;
  /** A name nobody knows is watched only after this, in milliseconds. */
  readonly strangerMs: number;
  /** Called after every answer; `changed` if the membership differs now. */
  readonly answered: (changed: boolean, update: RegistryUpdate) => void;
  /** Called after every failure to get one. */
  readonly failed: (error: DiscoveryError) => void;
}

/**
 * Keeps one service's membership up to date until the scope's signal aborts: one watch, and beside it one conditional
 * pull at a time, in case the watch has silently died. A failure changes nothing but the next pause.
 */
export class Refresh {
  readonly #options: RefreshOptions;
  readonly #scope: Scope;
  readonly #comeback: Comeback;
  #pulling: Promise<void> | undefined;
  #pulledAt = Number.NEGATIVE_INFINITY;
  #applied = 0;
  /** Answers that changed the membership, whoever brought them. */
  #changes = 0;
  #heard = 0;
  /** Whether the watch under way has said a word. */
  #hasSpoken = false;
  /** Aborts when the registry is heard again. */
  #back = haltSignal();
  /** Answers in a row that the name is not known. */
  #absent = 0;
  /** What the registry had answered to whomever, when it last failed us. */
  #answers = Number.POSITIVE_INFINITY;
  /** How often it failed us though it had answered others meanwhile. */
  #failuresOfOurOwn = 0;
  /** For how long it asked us to leave it alone when it failed us last. */
  #askedMs = 0;

  constructor(options: RefreshOptions, scope: Scope) {
    this.#options = options;
    this.#scope = scope;
    this.#comeback = comebackOf(options.source);
  }

  /** Ends when the signal aborts; never rejects. */
  async run(): Promise<void> {
    const { source, membership } = this.#options;
    membership.begin(this.#scope.clock.now());
    await Promise.all([source.watch ? this.#keepWatching() : undefined, this.#keepPulling()]);
  }

  /** Asks for the list now, unless that was done a moment ago. However many ask, one request is made. */
  async nudge(): Promise<void> {
    const floorMs = Math.min(NUDGE_CAP_MS, NUDGE_FLOOR_MS * 2 ** Math.max(0, this.#absent - 1));
    if (this.#pulling || this.#scope.clock.now() - this.#pulledAt >= floorMs) await this.pull();
  }

  /** Asks for the list; joins a request already under way. Rejects if it fails. */
  pull(): Promise<void> {
    return this.#pulling ?? this.pullAnew();
  }

  /** As `pull()`, but joins nothing: what was asked before this machine slept may never be answered. */
  pullAnew(): Promise<void> {
    const pulling = this.#pull().finally(() => {
      if (this.#pulling === pulling) this.#pulling = undefined;
    });
    this.#pulling = pulling;
    return pulling;
  }

  async #pull(): Promise<void> {
    const { source, service, membership } = this.#options;
    const { clock } = this.#scope;
    this.#pulledAt = clock.now();
    const applied = this.#applied;
    const since = membership.position;
    try {
      const update = await within(`list of ${service}`, PULL_TIMEOUT_MS, this.#scope, (signal) =>
        source.list(service, { since, signal }),
      );
      if (applied !== this.#applied) return; // the watch was faster: this answer may be older than what it told
      if (update.type === "current" && membership.settled(clock.now()).changed) this.#options.answered(true, update);
      this.#apply(update);
      if (update.type === "absent" && update.warming !== true) this.#absent++;
      if (membership.confirm(clock.now()).changed) this.#options.answered(true, update);
    } catch (error) {
      membership.missed();
      throw this.#noted(error);
    }
  }

  async #keepPulling(): Promise<void> {
    const { clock, random, signal } = this.#scope;
    while (!signal.aborted) {
      const { watch } = this.#options.source.capabilities; // as it is now: a watch may have lost its connection
      const heard = this.#heard;
      let pauseMs = this.#options.refreshMs * (1 - JITTER + 2 * JITTER * random());
      try {
        if (watch !== "poll") await this.pull(); // such a watch is a pull already
      } catch {
        await this.#untilWorthAsking();
        if (this.#heard === heard) pauseMs = 0;
      }
      await clock.sleep(pauseMs, signal).catch(() => {});
    }
  }

  async #keepWatching(): Promise<void> {
    const { clock, random, signal } = this.#scope;
    await this.pull().catch(() => {}); // the list first: a watch may be slow to open
    const { membership, strangerMs } = this.#options;
    if (membership.state === "absent" && strangerMs > 0) await clock.sleep(strangerMs, signal).catch(() => {});
    let failures = 0;
    while (!signal.aborted) {
      const heard = this.#heard;
      const begunAt = clock.now();
      try {
        await this.#watch();
      } catch (error) {
        if (this.#hasSpoken) membership.missed(); // one that never spoke may be barred: pulls tell then whether all is away
        this.#noted(error);
      }
      const hasLasted = this.#heard > heard && clock.now() - begunAt >= LASTING_MS;
      failures = hasLasted ? 1 : failures + 1;
      const pauses = this.#hasSpoken ? KNOCK : RECONNECT;
      if (failures > 1 && membership.isAway && !this.#hasSpoken) await this.#untilWorthAsking();
      else await this.#untilBack(this.#askedMs + Math.max(LOOP_FLOOR_MS, backoff(pauses, failures, random)));
    }
  }

  /**
   * The pause after a failure. A registry that answers nobody is waited for by all together; one that answers others has
   * nothing for us, so we ask later each time; not much later than when all is well.
   */
  async #untilWorthAsking(): Promise<void> {
    const { answers } = this.#comeback;
    const isOurOwn = answers > this.#answers;
    this.#answers = answers;
    if (!isOurOwn) return this.#comeback.wait(this.#scope, () => this.pull());
    this.#failuresOfOurOwn++;
    const mostMs = OWN_SHARE * this.#options.refreshMs;
    const pauseMs = Math.min(mostMs, backoff(RECONNECT, this.#failuresOfOurOwn, this.#scope.random));
    return this.#untilBack(this.#askedMs + Math.max(LOOP_FLOOR_MS, pauseMs)); // not all at the moment it named
  }

  /** A pause that ends early when a pull gets through: the watch need not find out for itself. */
  async #untilBack(pauseMs: number): Promise<void> {
    const { signal, release } = linked(this.#scope.signal, this.#back.signal);
    await this.#scope.clock.sleep(pauseMs, signal).catch(() => {});
    release();
  }

  /** One watch, from where we are until it is cut, falls silent or skips something. */
  async #watch(): Promise<void> {
    const { source, service, membership } = this.#options;
    const cut = new AbortController();
    this.#hasSpoken = false;
    const abort = (): void => cut.abort(this.#scope.signal.reason);
    const pulled = this.#back.signal;
    const reopen = this.#reopening(cut);
    this.#scope.signal.addEventListener("abort", abort, { once: true });
    pulled.addEventListener("abort", reopen, { once: true });
    let iterator: AsyncIterator<RegistryUpdate> | undefined;
    try {
      const updates = source.watch?.(service, { since: membership.position, signal: cut.signal });
      const reading = updates?.[Symbol.asyncIterator]();
      iterator = reading;
      let changes = this.#changes;
      while (reading) {
        const { value: update, done } = await this.#beforeItIsQuiet(() => reading.next());
        if (done) throw new DiscoveryError("UNAVAILABLE", `The watch of ${service} ended`, { service });
        this.#hasSpoken = true;
        const mayBeOlder = changes !== this.#changes && !hasItsPlace(update); // a pull was faster than the watch
        const isAstray = mayBeOlder || this.#apply(update);
        if (update.type !== "current") changes = this.#changes; // a sign of life does not say how far the watch has come
        if (isAstray) await this.#listAgain();
      }
    } finally {
      this.#scope.signal.removeEventListener("abort", abort);
      pulled.removeEventListener("abort", reopen);
      cut.abort(new DiscoveryError("CLOSED", `The watch of ${service} is over`));
      iterator?.return?.().catch(() => {}); // one that stands at its yield would never run its own end
    }
  }

  /** What becomes of a watch when a pull gets through: what it asked for in all that time, and in vain, was lost. */
  #reopening(cut: AbortController): () => void {
    const { clock } = this.#scope;
    const begunAt = clock.now();
    return () => {
      if (this.#hasSpoken || clock.now() - begunAt < PULL_TIMEOUT_MS) return;
      cut.abort(new DiscoveryError("TIMEOUT", `The watch of ${this.#options.service} did not open`));
    };
  }

  #beforeItIsQuiet<T>(next: () => Promise<T>): Promise<T> {
    const { service, source } = this.#options;
    const { quietMs } = source.capabilities;
    return Number.isFinite(quietMs) ? within(`watch of ${service}`, quietMs, this.#scope, next) : next();
  }

  /** Something is missing: forget where we were, not what we know. A question under way was asked before, perhaps too early. */
  async #listAgain(): Promise<void> {
    this.#options.membership.position = undefined;
    this.#applied++;
    await this.pullAnew();
  }

  /** True if an update is missing before this one. */
  #apply(update: RegistryUpdate): boolean {
    const { membership } = this.#options;
    const wasAway = membership.isAway;
    const { changed, gap } = membership.apply(update, this.#scope.clock.now());
    this.#heard++;
    this.#answers = Number.POSITIVE_INFINITY;
    this.#failuresOfOurOwn = 0;
    this.#askedMs = 0;
    this.#comeback.heard();
    if (wasAway) this.#back.abort();
    if (wasAway) this.#back = haltSignal();
    if (gap) return true;
    if (changed) this.#changes++;
    if (update.type !== "current") this.#applied++;
    if (update.type !== "absent") this.#absent = 0;
    this.#options.answered(changed, update);
    return false;
  }

  #noted(cause: unknown): DiscoveryError {
    const { source, service, failed } = this.#options;
    const error = DiscoveryError.is(cause)
      ? cause
      : new DiscoveryError("UNAVAILABLE", `${source.name} failed to tell of ${service}`, { cause, service });
    if (this.#scope.signal.aborted) return error;
    this.#askedMs = askedPauseMs(error);
    failed(error);
    if (!error.retryable) this.#comeback.heard(); // it is there; to us it says no
    return error;
  }
}

/** Whether an update says by itself what it comes after, or nothing that could be out of date. */
function hasItsPlace(update: RegistryUpdate): boolean {
  return update.type === "current" || (update.type === "change" && update.since !== undefined);
}
