import type { Balancer, PickContext } from "../balancer/balancer.js";
import type { BalancerName } from "../balancer/by-name.js";
import type { Endpoint } from "../endpoint/endpoint.js";
import { DiscoveryError } from "../model/errors.js";
import { numberIn } from "../model/fields.js";
import type { ServiceInstance } from "../model/instance.js";
import type { RegistryUpdate, Snapshot } from "../model/update.js";
import { whileAwaited } from "../runtime/clock.js";
import { haltSignal } from "../runtime/deadline.js";
import { Emitter } from "../runtime/emitter.js";
import { balancerFrom } from "./balancer-from.js";
import { type Change, changesOf } from "./changes.js";
import { Explanation } from "./explanation.js";
import { Idleness } from "./idleness.js";
import { LiveList } from "./live-list.js";
import { nobodyUsable } from "./nobody.js";
import { Rotation } from "./rotation.js";
import { Selection } from "./selection.js";
import type { ServiceEvents } from "./service-events.js";
import type { PickOptions, ReadyOptions, ServiceSettings } from "./service-settings.js";
import type { Shadow } from "./shadow.js";
import { Voice } from "./voice.js";

/** One service as its consumer sees it: always the freshest list there is, and whose turn it is. */
export class Service extends Emitter<ServiceEvents> implements AsyncDisposable {
  readonly name: string;
  readonly #settings: ServiceSettings;
  readonly #list: LiveList;
  readonly #rotation: Rotation;
  readonly #idleness: Idleness;
  readonly #watchers = new Set<() => void>();
  readonly #ended = haltSignal();
  readonly #voice: Voice;

  /** @internal Use `resolver.service(name)`. */
  constructor(name: string, settings: ServiceSettings) {
    super();
    this.name = name;
    this.#settings = settings;
    this.#voice = new Voice(name, (event, payload) => this.emit(event, payload));
    this.#idleness = new Idleness(settings.idleMs);
    this.#list = new LiveList({
      ...settings,
      service: name,
      events: {
        published: (before, update) => this.#published(before, update),
        stale: (cause) => this.emit("stale", { snapshot: this.snapshot, cause }),
        fresh: () => this.emit("fresh", { snapshot: this.snapshot }),
        answered: () => this.#restIfIdle(),
      },
    });
    this.#rotation = new Rotation({
      ...settings,
      events: {
        ejected: ({ instance }, cause, pauseMs) => {
          this.#list.ejected(instance.id);
          this.#voice.ejected(instance, cause, pauseMs);
        },
        readmitted: ({ instance }) => this.emit("readmitted", { instance }),
        panic: (panic) => this.emit(panic ? "panic" : "calm", { service: name }),
        left: (endpoints) => this.endpointsLeft(endpoints),
      },
    });
    this.resume();
  }

  /** The list as it stands, with what is known about its freshness. The same object until something changes. */
  get snapshot(): Snapshot {
    return this.#list.snapshot;
  }

  /** The balancer in use. */
  get balancer(): Balancer {
    return this.#rotation.balancer;
  }

  /**
   * The latest snapshot whenever it differs from the one seen last, with the difference: `for await (const { snapshot,
   * difference } of orders.changes({ signal }))`. Whoever reads slowly gets one difference for all it missed. Ends,
   * without an error, with the signal and with `close()`.
   */
  changes({ signal }: { readonly signal?: AbortSignal } = {}): AsyncGenerator<Change, void, void> {
    const source = {
      snapshot: () => this.snapshot,
      watchers: this.#watchers,
      resume: () => this.resume(),
      ended: this.#ended.signal,
    };
    return changesOf(source, signal);
  }

  /** All instances the registry tells of, in the order of their ids, usable or not. */
  instances(): readonly ServiceInstance[] {
    return this.snapshot.instances;
  }

  /**
   * Changes the balancer, given as a value or by name, from the next pick on; what was measured is kept, and so is
   * everything the options say of filters, zone, split and the like.
   *
   * @throws {DiscoveryError} `INVALID_OPTION` if it is none
   */
  setBalancer(balancer: Balancer | BalancerName): void {
    this.#rotation.setBalancer(balancerFrom("balancer", balancer));
  }

  /**
   * Lets another balancer choose beside the one in use, without consequence: `stop()` tells how often it would have
   * gone elsewhere and what it could expect there. What it expects rests on the loads the live one causes.
   *
   * @throws {DiscoveryError} `INVALID_OPTION` if it is none
   */
  shadow(balancer: Balancer | BalancerName): Shadow {
    return this.#rotation.shadow(balancerFrom("balancer", balancer));
  }

  /** Says for each known instance which stage keeps it in or out, and why: plain data, and as a string for people. */
  explain(): Explanation {
    const { source, clock } = this.#settings;
    return new Explanation(source, this.snapshot, this.#rotation, this.#list.suspected, clock.now());
  }

  /**
   * Resolves when somebody can be picked, waiting for the first list as a call does. With `instances` it waits until so
   * many can be called, for as long as that takes: for whoever starts together with its providers.
   *
   * @throws {DiscoveryError} as `pick()`; with `instances` only `CLOSED` · the signal's own reason
   */
  async ready({ signal, instances = 0 }: ReadyOptions = {}): Promise<Snapshot> {
    numberIn("ready.instances", instances, 0, 1_000_000, true);
    if (instances > 0) return this.#gathered(instances, signal);
    await this.chooseEventually({ key: "", tried: [] }, signal); // with a key: a balancer that hashes would miss one
    return this.snapshot;
  }

  /**
   * Picks an instance, waiting for the first list if there is none yet (`waitMs`). Release the selection when the call
   * is over.
   *
   * @throws {DiscoveryError} `SERVICE_UNKNOWN`: no registry knows the name · `NO_INSTANCES`: nobody is usable, with
   * `counts` · `NO_MATCH`: the filters leave nobody · `OVERLOADED`: all are at `maxInFlight` · `UNAVAILABLE`: no
   * registry has answered yet · `UNAUTHORIZED`, `REJECTED`, `PROTOCOL`: it refuses to tell, or is none; not waited for ·
   * `CLOSED`
   */
  async pick(options?: PickOptions): Promise<Selection> {
    const endpoint = this.choose(options) ?? (await this.chooseEventually(options, options?.signal));
    return new Selection(endpoint, this.#settings.clock);
  }

  /** As `pick()`, but without waiting for anything. @throws {DiscoveryError} as `pick()` */
  pickNow(options?: PickOptions): Selection {
    const endpoint = this.choose(options);
    if (endpoint) return new Selection(endpoint, this.#settings.clock);
    this.resume();
    const revived = this.choose(options);
    if (!revived) throw this.#nobody();
    return new Selection(revived, this.#settings.clock);
  }

  /** @internal The hot path: allocates nothing; the caller begins, settles and ends. */
  choose(context: PickContext | undefined): Endpoint | undefined {
    return this.#rotation.choose(context);
  }

  /** @internal When `choose` finds nobody: waits for the first list, or asks once more whether there is somebody. */
  async chooseEventually(context: PickContext | undefined, signal?: AbortSignal, limitMs?: number): Promise<Endpoint> {
    this.resume();
    const known = this.choose(context);
    if (known) return known;
    if (this.#rotation.isFull) throw this.#nobody(); // waiting is the caller's to decide
    await whileAwaited(this.#list.wait(signal, Math.min(limitMs ?? Number.POSITIVE_INFINITY, this.#settings.waitMs)));
    const endpoint = this.choose(context);
    if (!endpoint) throw this.#nobody();
    return endpoint;
  }

  /** @internal Every endpoint of the service, with what was measured. */
  get endpoints(): readonly Endpoint[] {
    return this.#rotation.all;
  }

  /** @internal Whether a call's key matters to whoever chooses. */
  get usesKey(): boolean {
    return this.#rotation.usesKey;
  }

  /** @internal Those that may be picked now. */
  get usable(): readonly Endpoint[] {
    return this.#rotation.eligible.usable;
  }

  /** @internal Lets the watch go; the list is kept, and the next use revives it. */
  suspend(): void {
    if (!this.#list.isRunning) return;
    this.#list.stop();
    this.#rotation.park(true);
  }

  /** @internal Takes up the watch again if it was let go. */
  resume(): void {
    if (this.#list.isRunning) return;
    if (this.#ended.signal.aborted) throw this.#closed();
    this.#rotation.park(false);
    this.#idleness.reset();
    this.#list.start();
  }

  /** Ends the watch and every timer. Idempotent. */
  async close(): Promise<void> {
    this.#ended.abort();
    this.suspend();
    this.#rotation.close();
    await this.#list.ended();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** For the client: connections to these may be closed once they are idle. */
  protected endpointsLeft(_endpoints: readonly Endpoint[]): void {}

  async #gathered(count: number, signal: AbortSignal | undefined): Promise<Snapshot> {
    this.resume();
    for await (const { snapshot } of this.changes(signal ? { signal } : {})) {
      if (this.usable.length >= count) return snapshot;
    }
    signal?.throwIfAborted();
    throw this.#closed();
  }

  #closed(): DiscoveryError {
    return new DiscoveryError("CLOSED", `The resolver of ${this.name} was closed`, { service: this.name });
  }

  #published(before: Snapshot, update: RegistryUpdate): void {
    const { snapshot } = this;
    if (snapshot.state === "known" && before.state !== "known") this.#settings.becameKnown();
    this.#rotation.setInstances(snapshot.instances, this.#list.suspects);
    for (const told of this.#watchers) told();
    this.#voice.published(before, snapshot, update);
    this.#rotation.catchUp();
  }

  #restIfIdle(): void {
    if (this.heard("changed") || this.#watchers.size > 0) this.#idleness.reset();
    else if (this.#idleness.since(this.#settings.clock.now(), this.endpoints)) this.suspend();
  }

  #nobody(): DiscoveryError {
    const { source, routing, waitMs } = this.#settings;
    return nobodyUsable({
      service: this.name,
      registry: source.name,
      state: this.snapshot.state,
      warming: this.snapshot.warming,
      endpoints: this.#rotation.all,
      routing,
      isFull: this.#rotation.isFull,
      waitMs,
      cause: this.#list.lastError,
    });
  }
}
