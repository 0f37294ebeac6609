import type { AddressInfo, Server } from "node:net";
import { DiscoveryError } from "../model/errors.js";
import { declaredStatus, type ServiceInstance } from "../model/instance.js";
import type { Lease } from "../registry/registry.js";
import { type Scope, whileAwaited } from "../runtime/clock.js";
import { haltSignal, linked, untilAborted } from "../runtime/deadline.js";
import { Emitter } from "../runtime/emitter.js";
import { knownKeys } from "../runtime/options.js";
import { RECONNECT } from "../runtime/retry.js";
import type { AdvertisedAddress } from "./address.js";
import type { AgentEvents, AgentState } from "./agent-events.js";
import {
  type AgentGround,
  type AgentOptions,
  type AgentSettings,
  type AgentUpdate,
  checkedOptions,
} from "./agent-options.js";
import { type Attaching, type AttachOptions, attachingOf, closingAfter } from "./attach-options.js";
import { Attachment } from "./attachment.js";
import { leaveCluster } from "./cluster-worker.js";
import { described } from "./described.js";
import { sayGoodbye } from "./farewell.js";
import {
  type Condition,
  type HealthHandler,
  healthCheckOf,
  healthHandler,
  isHealthRequest,
  livenessCheck,
} from "./health.js";
import { type FailedTry, patiently } from "./patience.js";
import { untilReady } from "./readiness.js";
import { Registration } from "./registration.js";
import { onFirstSignal } from "./signals.js";

/**
 * Keeps one instance registered. "Registered" is a state it holds, not an event: whatever happens to the registry, it
 * registers again, for ever. It never throws out of a timer and never ends the process.
 */
export class Agent extends Emitter<AgentEvents> implements AsyncDisposable {
  readonly #ground: AgentGround;
  readonly #settings: AgentSettings;
  readonly #scope: Scope;
  readonly #halt = haltSignal();
  #attached: { readonly server: Attachment; readonly how: Attaching } | undefined;
  #unhear: () => void = () => {};
  #address: AdvertisedAddress | undefined;
  #registration: Registration | undefined;
  #isReady = false;
  #isStopped = false;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  /** @internal Use `createAgent()`. */
  constructor(options: AgentOptions, ground: AgentGround) {
    super();
    this.#settings = checkedOptions(options);
    this.#ground = ground;
    const { clock, random } = this.#settings;
    this.#scope = { clock, random, signal: this.#halt.signal };
  }

  get state(): AgentState {
    if (this.#isStopped) return "stopped";
    if (this.#stopping) return "draining";
    const { lease, wanted } = this.#registration?.announcement ?? {};
    if (lease) return wanted?.status === "draining" ? "draining" : "registered";
    if (this.#registration?.wasHeld) return "lost";
    return this.#starting ? "registering" : "idle";
  }

  /** What consumers are told of us; undefined before `start()` has chosen an address. */
  get instance(): ServiceInstance | undefined {
    return this.#registration?.announcement.wanted;
  }

  /** The lease that is held now. */
  get lease(): Lease | undefined {
    return this.#isStopped ? undefined : this.#registration?.announcement.lease;
  }

  /** The address consumers are told, where it comes from, and what else there was; undefined until it is chosen. */
  get address(): AdvertisedAddress | undefined {
    return this.#address;
  }

  /**
   * Registers, and stays registered until `stop()`. Resolves at the first registration: after the attached server
   * listens and `readyWhen` has passed. An outage of the registry does not reject: it goes on trying.
   *
   * @throws {DiscoveryError} `INVALID_OPTION`, `REJECTED`, `UNAUTHORIZED` or `ID_CONFLICT` if the registry refuses us,
   * `CLOSED` after `stop()` · the signal's reason if it aborts first; `start()` may then be called again
   */
  start({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return whileAwaited(this.#attached ? this.#join(signal) : this.#begin(signal));
  }

  /**
   * Looks after a server: registers once it listens, shows `/health`, and at a signal or `stop()` says goodbye: asks for
   * no new calls, leaves the registry, waits until consumers know and no request comes any more, closes the server and
   * lets finish what is in flight. Takes the port from the server unless it was given.
   *
   * Works for every framework on `node:http`: Express (`app.listen()`), Fastify (`app.server`, with
   * `close: () => app.close()`), Hono (`serve()`). A refusal of the registry is told by `registerFailed`, and tried again.
   *
   * @throws {DiscoveryError} `INVALID_OPTION` for a wrong option or a second server · `CLOSED` after `stop()`
   */
  attach(server: Server, options: AttachOptions = {}): this {
    const how = attachingOf(server, options);
    if (this.#stopping) throw this.#closed();
    if (this.#attached) {
      throw new DiscoveryError("INVALID_OPTION", "attach: this agent has a server already", { field: "attach.server" });
    }
    const show = this.healthHandler();
    const attached = new Attachment(server, this.#scope.clock, (request, response) => {
      const isOurs = how.health !== undefined && isHealthRequest(request, how.health);
      if (isOurs) show(request, response);
      return isOurs;
    });
    attached.onClosed(() => void this.stop()); // a closed port must not stay registered
    this.#attached = { server: attached, how };
    this.#unhear = onFirstSignal(how.signals, () => void this.stop().finally(leaveCluster));
    void this.#insist();
    return this;
  }

  /**
   * Answers requests about our health, for an app that mounts it itself: 200 while calls are welcome, 503 while starting
   * or draining; always 200 at a path that ends with `/live`.
   */
  healthHandler(): HealthHandler {
    return healthHandler(() => this.#condition());
  }

  /**
   * Changes what consumers are told. Resolves once the registry has taken it; while there is no lease, at once: the next
   * registration tells it.
   *
   * @throws {DiscoveryError} `INVALID_OPTION`, `NOT_REGISTERED` before `start()` and after `stop()`, or its refusal
   */
  async update(fields: AgentUpdate): Promise<void> {
    knownKeys("update", fields, ["weight", "zone", "version", "tags", "metadata", "status"]);
    if (fields.status !== undefined) declaredStatus("update.status", fields.status);
    if (!this.#registration || this.#stopping) {
      const { service } = this.#settings.options;
      throw new DiscoveryError("NOT_REGISTERED", "Only a started agent can be updated", { service });
    }
    await whileAwaited(this.#registration.announcement.change(fields));
  }

  /** Asks for no new calls while others can take them, and keeps the lease. `update({ status: "healthy" })` ends it. */
  async drain(): Promise<void> {
    await this.update({ status: "draining" });
    if (this.instance) this.emit("draining", { instance: this.instance, leaving: false });
  }

  /**
   * Leaves: declares `draining`, deregisters, waits until consumers know, closes the attached server, and is bounded in
   * each of these (1 s, 2 s, `drainMs`, `graceMs`), whether the registry answers or not. Never rejects; a second call
   * joins the first.
   */
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

  /** Waits with others for what goes on without any of them. */
  async #join(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    await untilAborted(this.#begin(undefined), signal);
  }

  #begin(signal: AbortSignal | undefined): Promise<void> {
    if (this.#stopping) return Promise.reject(this.#closed());
    this.#starting ??= this.#start(signal).catch((error: unknown) => {
      this.#starting = undefined;
      throw error;
    });
    return this.#starting;
  }

  async #start(outer: AbortSignal | undefined): Promise<void> {
    const { signal, release } = linked(this.#halt.signal, outer);
    const scope = { ...this.#scope, signal };
    const { readyWhen } = this.#settings.options;
    try {
      const bound = await this.#attached?.server.listening(signal);
      if (readyWhen && !this.#isReady)
        await untilReady(readyWhen, scope, (failure) => this.emit("readyFailed", failure));
      this.#isReady = true;
      this.#registration ??= await this.#described(bound, scope);
      await this.#registration.begin(outer);
    } finally {
      release();
    }
  }

  async #described(bound: Partial<AddressInfo> | undefined, scope: Scope): Promise<Registration> {
    const { registrar, registryHost } = this.#ground;
    const { options, ttlMs } = this.#settings;
    const { how } = this.#attached ?? {};
    const failed = (failure: FailedTry): void => this.#failed(failure);
    const { instance, address } = await described(options, { bound, registryHost }, scope, failed);
    this.#address = address;
    const health = how?.health ? livenessCheck(how.health) : healthCheckOf("agent.health", options.health);
    return new Registration(registrar, instance, { ttlMs, health }, this.#scope, (event, payload) => {
      if (event === "registerFailed") this.#warn(payload as Parameters<AgentEvents["registerFailed"]>[0]);
      this.emit(event, payload);
    });
  }

  /** Nobody awaits the start of an attached agent: a refusal must not end the process, and may be lifted. */
  async #insist(): Promise<void> {
    const begin = (): Promise<void> => this.#begin(undefined);
    await patiently(this.#scope, RECONNECT, begin, (failure) => this.#failed(failure)).catch(() => {}); // it was stopped
  }

  #failed({ cause, ...when }: FailedTry): void {
    const error = DiscoveryError.is(cause) ? cause : new DiscoveryError("UNAVAILABLE", "The start failed", { cause });
    this.#warn({ cause: error, ...when });
    if (error.code === "ID_CONFLICT") this.emit("conflict", { cause: error });
    this.emit("registerFailed", { cause: error, ...when });
  }

  /** An outage ends no start: whoever hears no event would wait without a word. */
  #warn({ cause, attempt }: { cause: DiscoveryError; attempt: number }): void {
    if (attempt !== 1 || this.#registration?.wasHeld || this.heard("registerFailed")) return;
    process.emitWarning(`Not registered yet: ${cause.message}`, { code: "DISCOVERY_NOT_REGISTERED" });
  }

  async #leave(): Promise<void> {
    await undefined; // whoever hears of it finds us stopping
    const { clock } = this.#scope;
    const begunAt = clock.now();
    const { server, how } = this.#attached ?? {};
    this.#unhear();
    server?.leave();
    if (this.instance) this.emit("draining", { instance: this.instance, leaving: true });
    this.#halt.abort(this.#closed());
    const lease = await this.#registration?.end();
    const told = this.#registration?.announcement.told;
    const drainMs = server?.isClosed ? 0 : this.#settings.drainMs; // nobody can call us any more
    const { registrar } = this.#ground;
    const goodbye =
      lease && told ? await sayGoodbye({ registrar, lease, told, drainMs }, this.#scope) : { deregistered: false };
    const wasHeld = this.#registration?.wasHeld === true;
    const closed = how && (await server?.close(closingAfter(goodbye, wasHeld, how.closing)));
    await this.#ground.release().catch(() => {});
    this.#isStopped = true;
    this.emit("stopped", { inFlight: 0, ...goodbye, ...closed, tookMs: clock.now() - begunAt });
  }

  #condition(): Condition {
    const { instance, state } = this;
    const { status } = instance ?? {};
    const isDraining = this.#stopping !== undefined || status === "draining";
    return { isReady: this.#isReady && status !== "starting", isDraining, state, instance: instance?.id };
  }

  #closed(): DiscoveryError {
    return new DiscoveryError("CLOSED", "This agent was stopped", { service: this.#settings.options.service });
  }
}
