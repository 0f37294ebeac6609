import { randomUUID } from "node:crypto";
import type { DeclaredStatus, InstanceStatus, ServiceInstance } from "../model/instance.js";
import type { HealthCheck, Lease, Registrar } from "../registry/registry.js";
import type { Random, Scope } from "../runtime/clock.js";
import { haltSignal, linked, untilAborted, within } from "../runtime/deadline.js";
import { KNOCK } from "../runtime/retry.js";
import type { AgentEvents } from "./agent-events.js";
import { ANSWER_MS, Announcement, named } from "./announcement.js";
import { keepAlive, type Loss } from "./keep-alive.js";
import { patiently } from "./patience.js";

/** Registering is tried at least this often in a ttl, as beats are: whoever outlives an outage is seen soon after it. */
const TRIES_PER_TTL = 3;
/** A lost lease is won back within this, in milliseconds, at a random moment: a whole fleet may have lost theirs. */
const RESTORE_SPREAD_MS = 1_000;
/** Someone else holds our id on our address: give way for this long at first, in milliseconds, doubling to the cap. */
const GIVE_WAY = { firstMs: 30_000, capMs: 300_000 } as const;
/** A registration under way when we leave may still be answered within this, in milliseconds. */
const FINISH_MS = 1_000;
/** Errors that trying again cannot mend; before the first registration they end it. */
const REFUSALS = new Set(["INVALID_OPTION", "REJECTED", "UNAUTHORIZED", "ID_CONFLICT", "UNSUPPORTED"]);

type Emit = <K extends keyof AgentEvents>(event: K, payload: Parameters<AgentEvents[K]>[0]) => void;

/** What a registration asks for beside its instance. */
export interface Terms {
  readonly ttlMs: number;
  readonly health: HealthCheck | undefined;
}

/** Holds one instance registered until its scope's signal aborts: whatever happens, it registers again. */
export class Registration {
  /** What is told of us, and under which lease. */
  readonly announcement: Announcement;
  readonly #registrar: Registrar;
  readonly #terms: Terms;
  readonly #scope: Scope;
  readonly #emit: Emit;
  /** Cuts requests under way; the scope's signal only ends the waiting between them. */
  readonly #cut = haltSignal();
  /** By this the registry knows that it is us again, whatever comes late or twice. */
  readonly #holder = randomUUID();
  #wasHeld = false;
  #isUnlisted = false;
  #beginning: Promise<void> = Promise.resolve();
  #holding: Promise<void> = Promise.resolve();
  #letGo: () => void = () => {};

  constructor(registrar: Registrar, wanted: ServiceInstance, terms: Terms, scope: Scope, emit: Emit) {
    this.#registrar = registrar;
    this.announcement = new Announcement(registrar, wanted, scope);
    this.#terms = terms;
    this.#scope = scope;
    this.#emit = emit;
  }

  /** Whether there ever was a lease. */
  get wasHeld(): boolean {
    return this.#wasHeld;
  }

  /** Resolves at the first registration, and holds it from then on. Rejects if the registry refuses us. */
  begin(outer: AbortSignal | undefined): Promise<void> {
    this.#beginning = this.#begin(outer);
    return this.#beginning;
  }

  async #begin(outer: AbortSignal | undefined): Promise<void> {
    const lease = await this.#register(false, outer);
    this.#scope.signal.throwIfAborted();
    this.#holding = this.#hold(lease);
  }

  /**
   * Ends the holding, after the scope's signal has aborted, and hands back the lease that is left. A registration under
   * way may still be answered: cut, it could list a process that has ended until its ttl.
   */
  async end(): Promise<Lease | undefined> {
    this.#letGo();
    const ended = Promise.allSettled([this.#beginning, this.#holding]);
    const { clock } = this.#scope;
    await within("what is under way", FINISH_MS, { clock, signal: this.#cut.signal }, () => ended).catch(() => {});
    this.#cut.abort(this.#scope.signal.reason);
    return this.announcement.lease;
  }

  /** Holds the state "registered". */
  async #hold(first: Lease): Promise<void> {
    const { clock, random, signal } = this.#scope;
    let lease = first;
    let conflicts = 0;
    try {
      while (!signal.aborted) {
        const { cause, reason } = await this.#untilLost(lease);
        this.announcement.lost();
        this.#emit("lost", { lease, cause });
        const isReplaced = reason === "replaced";
        if (isReplaced) this.#emit("conflict", { cause });
        conflicts = isReplaced ? conflicts + 1 : 0;
        await clock.sleep(isReplaced ? giveWayMs(conflicts, random) : RESTORE_SPREAD_MS * random(), signal);
        lease = await this.#register(true, undefined);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Tries until it succeeds; a refusal ends it only if we were never registered. */
  async #register(restored: boolean, outer: AbortSignal | undefined): Promise<Lease> {
    const waiting = linked(this.#scope.signal, outer);
    const asking = linked(this.#cut.signal, outer);
    const pauses = { ...KNOCK, capMs: Math.min(KNOCK.capMs, this.#terms.ttlMs / TRIES_PER_TTL) };
    try {
      return await patiently(
        { ...this.#scope, signal: waiting.signal },
        pauses,
        (attempt) => this.#registerOnce(attempt, restored, asking.signal),
        (failure) => {
          const cause = named(failure.cause, "registration", this.announcement.wanted);
          if (cause.code === "ID_CONFLICT") this.#emit("conflict", { cause });
          this.#emit("registerFailed", { ...failure, cause });
        },
        (error) => !restored && REFUSALS.has(named(error, "registration", this.announcement.wanted).code),
      );
    } finally {
      waiting.release();
      asking.release();
    }
  }

  async #registerOnce(attempt: number, restored: boolean, signal: AbortSignal): Promise<Lease> {
    const { wanted, edition } = this.announcement;
    const claim = { ...this.#terms, holder: this.#holder, edition };
    const what = `registration of ${wanted.id} with ${this.#registrar.name}`;
    const lease = await within(what, ANSWER_MS, { clock: this.#scope.clock, signal }, (signal) =>
      this.#registrar.register(wanted, { ...claim, signal }),
    );
    this.announcement.taken(lease, wanted);
    this.#wasHeld = true;
    this.#isUnlisted = false;
    this.#emit("registered", { lease, attempt, restored });
    void this.announcement.tell().catch(() => {}); // what has changed meanwhile
    return lease;
  }

  #untilLost(lease: Lease): Promise<Loss> {
    const lost = new Promise<Loss>((resolve) => {
      this.#letGo = keepAlive(
        this.#registrar,
        {
          lease,
          beat: () => ({
            lease: this.announcement.lease ?? lease,
            status: this.announcement.wanted.status as DeclaredStatus,
          }),
          renewed: (published) => this.#renewed(published),
          missed: (cause) => this.#emit("beatMissed", { lease, cause }),
          lost: resolve,
        },
        this.#scope,
      );
    });
    return untilAborted(lost, this.#scope.signal);
  }

  #renewed(published: InstanceStatus | undefined): void {
    void this.announcement.tell().catch(() => {}); // what the registry missed, it is told now
    if (published === undefined || this.#isUnlisted === (published === "failed")) return;
    this.#isUnlisted = published === "failed";
    const instance = this.announcement.wanted;
    if (this.#isUnlisted) this.#emit("unlisted", { instance, status: published });
    else this.#emit("relisted", { instance });
  }
}

/** Drawn from the upper half, so that we do give way, and two that were started together do not return together. */
function giveWayMs(conflicts: number, random: Random): number {
  const { firstMs, capMs } = GIVE_WAY;
  return Math.min(capMs, firstMs * 2 ** (conflicts - 1)) * (0.5 + 0.5 * random());
}
