import { DiscoveryError } from "../model/errors.js";
import {
  type DeclaredStatus,
  declaredStatus,
  defineInstance,
  type ServiceInstance,
  withFields,
} from "../model/instance.js";
import type { Lease } from "../registry/registry.js";
import { type Scope, systemClock, systemRandom, whileAwaited } from "../runtime/clock.js";
import { haltSignal, linked, untilAborted, within } from "../runtime/deadline.js";
import { Emitter } from "../runtime/emitter.js";
import { durationMs, functionOr, knownKeys } from "../runtime/options.js";
import { backoff, RECONNECT, retrying } from "../runtime/retry.js";
import { advertisedHost } from "./address.js";
import {
  type AgentEvents,
  type AgentGround,
  type AgentOptions,
  type AgentState,
  type AgentUpdate,
  checkedOptions,
} from "./agent-options.js";
import { keepAlive } from "./keep-alive.js";

/** A registry answers a registration within this, in milliseconds, or counts as away (Nacos: 3 s). */
const REGISTER_TIMEOUT_MS = 3_000;
/** Leaving may take this long, in milliseconds: a registry that is away must not hold up a shutdown. */
const DEREGISTER_MS = 2_000;
/** A lost lease is won back within this, in milliseconds, at a random moment: a whole fleet may have lost theirs. */
const RESTORE_SPREAD_MS = 1_000;
/** Someone else holds our id on our address: give way for this long at first, in milliseconds, doubling to the cap. */
const GIVE_WAY = { firstMs: 30_000, factor: 2, capMs: 300_000 } as const;
/** Errors that trying again cannot mend; before the first registration they end `start()`. */
const REFUSALS = new Set(["INVALID_OPTION", "REJECTED", "UNAUTHORIZED", "ID_CONFLICT", "UNSUPPORTED"]);

/**
 * Keeps one instance registered. "Registered" is a state it holds, not an event: whatever happens to the registry, it
 * registers again, for ever. It never throws out of a timer and never ends the process.
 */
export class Agent extends Emitter<AgentEvents> implements AsyncDisposable {
  readonly #ground: AgentGround;
  readonly #options: AgentOptions;
  readonly #ttlMs: number;
  readonly #scope: Scope;
  readonly #halt = haltSignal();
  #wanted: ServiceInstance | undefined;
  #told: ServiceInstance | undefined;
  #telling: Promise<void> | undefined;
  #lease: Lease | undefined;
  #state: AgentState = "idle";
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #holding: Promise<void> = Promise.resolve();
  #letGo: () => void = () => {};

  /** @internal Use `createAgent()`. */
  constructor(options: AgentOptions, ground: AgentGround) {
    super();
    checkedOptions(options);
    this.#ttlMs = durationMs("agent.ttlMs", options.ttlMs, 30_000, 3_000, 86_400_000);
    this.#options = options;
    this.#ground = ground;
    const clock = options.clock ?? systemClock;
    const random = functionOr("agent.random", options.random, systemRandom);
    this.#scope = { clock, random, signal: this.#halt.signal };
  }

  get state(): AgentState {
    return this.#state;
  }

  /** What consumers are told of us; undefined before `start()` has chosen an address. */
  get instance(): ServiceInstance | undefined {
    return this.#wanted;
  }

  /** The lease that is held now. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /**
   * Registers, and stays registered until `stop()`. Resolves at the first registration. An outage of the registry does
   * not reject: it goes on trying.
   *
   * @throws {DiscoveryError} `INVALID_OPTION`, `REJECTED`, `UNAUTHORIZED` or `ID_CONFLICT` if the registry refuses us,
   * `CLOSED` after `stop()` · the signal's reason if it aborts first; `start()` may then be called again
   */
  start({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#stopping) return Promise.reject(this.#stopped());
    this.#starting ??= whileAwaited(this.#start(signal)).catch((error: unknown) => {
      this.#starting = undefined;
      if (this.#state === "registering") this.#state = "idle";
      throw error;
    });
    return this.#starting;
  }

  /**
   * Changes what consumers are told. Resolves once the registry has taken it, be that after an outage.
   *
   * @throws {DiscoveryError} `INVALID_OPTION`, `NOT_REGISTERED` before `start()` and after `stop()`, or its refusal
   */
  async update(fields: AgentUpdate): Promise<void> {
    knownKeys("update", fields, ["weight", "zone", "version", "tags", "metadata", "status"]);
    if (fields.status !== undefined) declaredStatus("update.status", fields.status);
    if (!this.#wanted || this.#stopping) {
      throw new DiscoveryError("NOT_REGISTERED", "Only a started agent can be updated", {
        service: this.#options.service,
      });
    }
    this.#wanted = withFields(this.#wanted, fields, "update");
    await whileAwaited(this.#tell());
  }

  /** Asks for no new calls while others can take them, and keeps the lease. */
  async drain(): Promise<void> {
    const draining = this.update({ status: "draining" });
    if (this.#state === "registered") this.#state = "draining";
    await draining;
    if (this.#wanted) this.emit("draining", { instance: this.#wanted });
  }

  /** Leaves the registry, bounded in time, whether the registry answers or not. A second call joins the first. */
  stop(): Promise<void> {
    this.#stopping ??= whileAwaited(this.#leave());
    return this.#stopping;
  }

  /** The same as `stop()`. */
  close(): Promise<void> {
    return this.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #start(outer: AbortSignal | undefined): Promise<void> {
    if (this.#stopping)
      throw new DiscoveryError("CLOSED", "This agent was stopped", { service: this.#options.service });
    this.#state = "registering";
    const { signal, release } = linked(this.#halt.signal, outer);
    try {
      const { host, ...rest } = this.#options;
      const { registryHost } = this.#ground;
      const chosen = await untilAborted(advertisedHost({ host, registryHost }), signal);
      this.#wanted ??= defineInstance({ ...rest, host: chosen, ttlMs: undefined }, "agent");
      const lease = await this.#register({ ...this.#scope, signal }, false);
      this.#holding = this.#hold(lease);
    } finally {
      release();
    }
  }

  /** Holds the state "registered" until the agent is stopped. */
  async #hold(first: Lease): Promise<void> {
    const { clock, random, signal } = this.#scope;
    let lease = first;
    let conflicts = 0;
    try {
      while (!signal.aborted) {
        const cause = await this.#untilLost(lease);
        this.#lease = undefined;
        this.#told = undefined;
        this.#state = "lost";
        this.emit("lost", { lease, cause });
        const replaced = / replaced /.test(`${cause.message} `);
        if (replaced) this.emit("conflict", { cause });
        conflicts = replaced ? conflicts + 1 : 0;
        const pauseMs = replaced ? backoff(GIVE_WAY, conflicts, random) : RESTORE_SPREAD_MS * random();
        await clock.sleep(pauseMs, signal);
        lease = await this.#register(this.#scope, true);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Tries until it succeeds or the signal aborts; a refusal ends it only if we were never registered. */
  async #register(scope: Scope, restored: boolean): Promise<Lease> {
    const { clock, random, signal } = scope;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#registerOnce(scope, attempt, restored);
      } catch (error) {
        signal.throwIfAborted();
        const cause = this.#named(error, "registration");
        if (!restored && REFUSALS.has(cause.code)) throw cause;
        if (cause.code === "ID_CONFLICT") this.emit("conflict", { cause });
        const retryInMs = Math.max(cause.retryAfterMs ?? 0, backoff(RECONNECT, attempt, random));
        this.emit("registerFailed", { cause, attempt, retryInMs });
        await clock.sleep(retryInMs, signal);
      }
    }
  }

  async #registerOnce(scope: Scope, attempt: number, restored: boolean): Promise<Lease> {
    const { registrar } = this.#ground;
    const wanted = this.#wanted as ServiceInstance;
    const what = `registration of ${wanted.id} with ${registrar.name}`;
    const lease = await within(what, REGISTER_TIMEOUT_MS, scope, (signal) =>
      registrar.register(wanted, { ttlMs: this.#ttlMs, signal }),
    );
    this.#lease = lease;
    this.#told = wanted;
    this.#state = wanted.status === "draining" ? "draining" : "registered";
    this.emit("registered", { lease, attempt, restored });
    return lease;
  }

  #untilLost(lease: Lease): Promise<DiscoveryError> {
    const { registrar } = this.#ground;
    const lost = new Promise<DiscoveryError>((resolve) => {
      this.#letGo = keepAlive(
        registrar,
        {
          lease,
          beat: () => ({ lease: this.#lease ?? lease, status: this.#wanted?.status as DeclaredStatus }),
          renewed: () => void this.#tell().catch(() => {}), // what the registry missed, it is told now
          missed: (cause) => this.emit("beatMissed", { lease, cause }),
          lost: resolve,
        },
        this.#scope,
      );
    });
    return untilAborted(lost, this.#scope.signal);
  }

  /** Brings the registry's knowledge of us up to date; joins a request already under way. */
  async #tell(): Promise<void> {
    while (this.#lease && this.#told !== this.#wanted) {
      this.#telling ??= this.#tellOnce().finally(() => {
        this.#telling = undefined;
      });
      await this.#telling;
    }
  }

  async #tellOnce(): Promise<void> {
    const { registrar } = this.#ground;
    const wanted = this.#wanted as ServiceInstance;
    const lease = this.#lease as Lease;
    const pauses = { ...RECONNECT, tries: 3 };
    const update = (): Promise<Lease> =>
      within(`update of ${wanted.id}`, REGISTER_TIMEOUT_MS, this.#scope, (signal) =>
        registrar.update(lease, wanted, { signal }),
      );
    const updated = await retrying(pauses, this.#scope, update).catch((error: unknown) => {
      throw this.#named(error, "update");
    });
    if (this.#lease === lease) this.#lease = updated;
    this.#told = wanted;
  }

  async #leave(): Promise<void> {
    const lease = this.#lease;
    this.#letGo();
    this.#halt.abort(this.#stopped());
    await this.#holding.catch(() => {});
    const deregistered = lease ? await this.#deregister(lease) : false;
    this.#lease = undefined;
    this.#state = "stopped";
    this.emit("stopped", { deregistered });
    await this.#ground.release();
  }

  /** Best effort: what fails here, the ttl mends. */
  async #deregister(lease: Lease): Promise<boolean> {
    const { registrar } = this.#ground;
    const { clock, random } = this.#scope;
    const scope = { clock, random, signal: new AbortController().signal };
    const leave = async (signal: AbortSignal): Promise<void> => {
      if (!registrar.capabilities.reasons && this.#wanted) {
        await registrar.update(lease, withFields(this.#wanted, { status: "draining" }), { signal }).catch(() => {});
      }
      const pauses = { ...RECONNECT, tries: 3 };
      await retrying(pauses, { clock, random, signal }, () => registrar.deregister(lease, { signal }));
    };
    try {
      await within(`deregistration of ${lease.instance.id}`, DEREGISTER_MS, scope, leave);
      return true;
    } catch {
      return false;
    }
  }

  #stopped(): DiscoveryError {
    return new DiscoveryError("CLOSED", "This agent was stopped", { service: this.#options.service });
  }

  #named(error: unknown, what: string): DiscoveryError {
    if (DiscoveryError.is(error)) return error;
    return new DiscoveryError("UNAVAILABLE", `The ${what} failed`, { cause: error, service: this.#options.service });
  }
}
