import { DiscoveryError } from "../model/errors.js";
import { inOrder, type RegistryUpdate, type Snapshot } from "../model/update.js";
import type { Discovery } from "../registry/registry.js";
import type { Cancel, Clock, Random, Scope } from "../runtime/clock.js";
import { haltSignal, untilAborted, within } from "../runtime/deadline.js";
import { onWake } from "../runtime/wake.js";
import { MASS_LOSS, type MassLossOptions } from "./doubt.js";
import type { LastKnown, Shelf } from "./last-known.js";
import { Membership } from "./membership.js";
import { Recall } from "./recall.js";
import { Refresh } from "./refresh.js";
import { isRefusal } from "./refusal.js";
import { type Probe, Suspicion } from "./suspicion.js";

/** What a list needs. */
export interface LiveListOptions {
  readonly service: string;
  readonly source: Discovery;
  readonly refreshMs: number;
  readonly strangerMs: number;
  readonly staleAfterMs: number;
  /** Undefined: whatever the registry takes away is gone, unless it forgot. */
  readonly massLoss: MassLossOptions | undefined;
  readonly probe: Probe;
  /** Where the list outlives this process, if anywhere. */
  readonly shelf: Shelf | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: LiveListEvents;
}

/** What a list tells its service. */
export interface LiveListEvents {
  /** There is another snapshot; `before` is the one it replaces. */
  published(before: Snapshot, update: RegistryUpdate): void;
  /** The registry has not confirmed the list for `staleAfterMs`. */
  stale(cause: DiscoveryError | undefined): void;
  /** The registry confirms the list again. */
  fresh(): void;
  /** The registry has answered, whatever it said. */
  answered(): void;
}

/** What the registry tells of one service, as a snapshot that is kept up to date while it is running. */
export class LiveList {
  readonly #options: LiveListOptions;
  readonly #membership: Membership;
  readonly #recall: Recall | undefined;
  #answered: (() => void) | undefined;
  #firstAnswer: Promise<void> = this.#awaited();
  #recalling: Promise<void> = Promise.resolve();
  #snapshot: Snapshot;
  #refresh: Refresh | undefined;
  #suspicion: Suspicion | undefined;
  #halt = haltSignal();
  /** The membership differs from the snapshot. */
  #unpublished = false;
  #running: Promise<void> = Promise.resolve();
  #staleTimer: Cancel = () => {};
  #lastError: DiscoveryError | undefined;

  constructor(options: LiveListOptions) {
    this.#options = options;
    this.#membership = new Membership(options.massLoss);
    this.#recall = options.shelf && new Recall(options.service, options.shelf, options.clock);
    this.#snapshot = this.#takeSnapshot(false);
  }

  /** The same object until something changes. */
  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  get isRunning(): boolean {
    return this.#refresh !== undefined;
  }

  /** How many losses were doubted so far. */
  get suspected(): number {
    return this.#membership.suspected;
  }

  /** Why the registry could not be heard last; undefined once it answers. */
  get lastError(): DiscoveryError | undefined {
    return this.#lastError;
  }

  /** Those who rank below the listed: not all whom the snapshot names in doubt. */
  get suspects(): ReadonlyMap<string, unknown> {
    return this.#membership.below;
  }

  /** Somebody was taken out of rotation. */
  ejected(id: string): void {
    this.#suspicion?.lookAgain(id);
  }

  /** Begins to keep the list up to date; it must not be running. */
  start(): void {
    const { source, service, clock, random, refreshMs, strangerMs } = this.#options;
    this.#halt = haltSignal();
    const scope = { clock, random, signal: this.#halt.signal };
    this.#suspicion = this.#suspicionIn(scope);
    this.#refresh = new Refresh(
      {
        source,
        service,
        membership: this.#membership,
        refreshMs,
        strangerMs,
        answered: (changed, update) => this.#update(changed, update),
        failed: (error) => {
          this.#lastError = error;
          this.#recall?.missed();
          void this.#recalling.then(() => this.#refused());
        },
      },
      scope,
    );
    const refresh = this.#refresh;
    const sleepless = onWake(clock, () => void refresh.pullAnew().catch(() => {})); // the world has changed while we slept
    this.#halt.signal.addEventListener("abort", sleepless, { once: true });
    const isNew = this.#membership.state === "unknown";
    const recall = isNew ? this.#recall : undefined;
    this.#recalling = recall?.begin(this.#halt.signal, (found) => this.#recalled(found)) ?? Promise.resolve(); // first: its time runs
    this.#running = refresh.run();
    this.#awaitStale();
  }

  /** Keeps the list as it stands and lets go of the registry. */
  stop(): void {
    this.#refresh = undefined;
    this.#suspicion = undefined;
    this.#staleTimer();
    this.#halt.abort(new DiscoveryError("CLOSED", `The watch of ${this.#options.service} is suspended`));
  }

  /** Resolves when nothing of it runs any more; whoever waits for the first list need wait no longer. */
  async ended(): Promise<void> {
    this.#answered?.();
    await this.#running;
  }

  /** Waits for the first list, or else asks once more; a failure is kept in `lastError`. */
  async wait(signal: AbortSignal | undefined, limitMs: number): Promise<void> {
    const { clock, service } = this.#options;
    const scope = { clock, signal: this.#halt.signal };
    const isAwaited = this.#membership.state === "unknown" && !isRefusal(this.#lastError);
    const answer = isAwaited ? this.#firstAnswer : this.#refresh?.nudge();
    try {
      await within(`list of ${service}`, limitMs, scope, () => untilAborted(answer ?? Promise.resolve(), signal));
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (DiscoveryError.is(error)) this.#lastError ??= error;
    }
  }

  #update(changed: boolean, update: RegistryUpdate): void {
    if (changed) this.#unpublished = true;
    if (!this.#refresh) return; // suspended while the answer was on its way: a timer now would hold us for ever
    const before = this.#snapshot;
    this.#lastError = undefined;
    this.#recall?.confirmed();
    if (this.#unpublished || before.stale || this.#answered) this.#publish(update);
    this.#recall?.keep(this.#snapshot, changed);
    this.#suspicion?.look();
    this.#answered?.();
    this.#answered = undefined;
    if (before.stale) this.#options.events.fresh();
    this.#awaitStale();
    this.#options.events.answered();
  }

  #publish(update: RegistryUpdate, stale = false): void {
    const before = this.#snapshot;
    this.#unpublished = false;
    this.#snapshot = this.#takeSnapshot(stale || this.#recall?.ageMs !== undefined); // from disk it stays stale until it is confirmed
    this.#options.events.published(before, update);
  }

  #suspicionIn(scope: Scope): Suspicion {
    const { massLoss = MASS_LOSS, probe } = this.#options;
    const changed = (): void => {
      this.#publish({ type: "current" }, this.#snapshot.stale);
      this.#recall?.keep(this.#snapshot, true); // whoever went by this is not to be called in a later life of ours
      this.#suspicion?.look();
    };
    const ask = async (): Promise<void> => this.#refresh?.pull();
    return new Suspicion({ membership: this.#membership, probe, confirmMs: massLoss.confirmMs, ask, changed }, scope);
  }

  /** The registry has not answered yet: what it said in an earlier life of ours is better than nothing. */
  #recalled({ instances, epoch }: LastKnown): void {
    if (this.#membership.state !== "unknown") return;
    this.#membership.recall(instances, epoch);
    const before = this.#snapshot;
    this.#snapshot = this.#takeSnapshot(true);
    this.#options.events.published(before, { type: "reset", instances, epoch });
    this.#answered?.();
    this.#answered = undefined;
  }

  #awaited(): Promise<void> {
    return new Promise((resolve) => {
      this.#answered = resolve;
    });
  }

  /** Whoever waits for the first list has waited long enough if the registry says no: that is an answer too. */
  #refused(): void {
    if (this.#membership.state !== "unknown" || !isRefusal(this.#lastError)) return;
    this.#answered?.();
    this.#firstAnswer = this.#awaited();
  }

  #takeSnapshot(stale: boolean): Snapshot {
    const { known, state, epoch, warming, doubted } = this.#membership;
    const { service } = this.#options;
    const ageMs = this.#recall?.ageMs;
    const source = ageMs === undefined ? "registry" : "disk";
    const suspects = Object.freeze([...doubted.keys()]);
    return Object.freeze({ service, instances: inOrder(known), state, stale, source, ageMs, epoch, warming, suspects });
  }

  #awaitStale(): void {
    const { clock, staleAfterMs, events } = this.#options;
    this.#staleTimer();
    if (!this.#refresh) return; // a listener has closed it meanwhile
    this.#staleTimer = clock.schedule(staleAfterMs, () => {
      this.#snapshot = this.#takeSnapshot(true);
      events.stale(this.#lastError);
    });
  }
}
