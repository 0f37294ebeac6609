import type { ServiceInstance } from "../model/instance.js";
import type { Cancel, Scope } from "../runtime/clock.js";
import { within } from "../runtime/deadline.js";
import type { Evidence } from "./doubt.js";
import type { Membership } from "./membership.js";

/** Finds out whether somebody listens where an instance is said to be. Never rejects for what it finds. */
export type Probe = (instance: ServiceInstance, signal: AbortSignal) => Promise<Evidence>;

/** A probe says within this, in milliseconds, what it found; else nothing is known (Consul's, Nacos': 1–3 s). */
const PROBE_TIMEOUT_MS = 2_000;
/** Probes at one time, so that the loss of a large service does not become a scan. */
const CONCURRENCY = 16;
/** Two questions to a registry that took a service away are at least this far apart, in milliseconds. */
const FLOOR_MS = 100;
/** What knocks find is told together when it comes within this, in milliseconds: each telling ranks the whole service. */
const TOGETHER_MS = 5;

/** What a suspicion needs of whoever has it. */
export interface SuspicionOptions {
  readonly membership: Membership;
  readonly probe: Probe;
  readonly confirmMs: number;
  /** Asks the registry for the list once more. */
  readonly ask: () => Promise<void>;
  /** The membership, or what is thought of it, differs now. */
  readonly changed: () => void;
}

/** Looks into doubts: knocks at the doubted, asks the registry again, and ends each doubt when its time is up. */
export class Suspicion {
  readonly #options: SuspicionOptions;
  readonly #scope: Scope;
  readonly #knocking = new Set<string>();
  #cancel: Cancel = () => {};
  #telling: Cancel | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(options: SuspicionOptions, scope: Scope) {
    this.#options = options;
    this.#scope = scope;
    const cancel = (): void => {
      this.#cancel();
      this.#telling?.();
    };
    scope.signal.addEventListener("abort", cancel, { once: true });
  }

  /** To be called whenever the membership may have changed. Free when nobody is doubted. */
  look(): void {
    this.#cancel();
    const { open } = this.#options.membership;
    if (open.size === 0 || this.#scope.signal.aborted) return;
    for (const [id, { instance, evidence }] of open) {
      if (this.#knocking.size >= CONCURRENCY) break;
      if (evidence === undefined && !this.#knocking.has(id)) void this.#knock(instance);
    }
    const { clock } = this.#scope;
    this.#cancel = clock.schedule(Math.max(FLOOR_MS, this.#dueAt() - clock.now()), () => void this.#due());
  }

  /** Calls met trouble there: whoever was found alive may have died since. Free for whoever is not doubted. */
  lookAgain(id: string): void {
    const doubt = this.#options.membership.doubted.get(id);
    if (doubt?.evidence !== "alive") return;
    doubt.evidence = undefined;
    this.look();
  }

  async #knock(instance: ServiceInstance): Promise<void> {
    const { membership, probe } = this.#options;
    const { id } = instance;
    this.#knocking.add(id);
    const evidence = await within(`probe of ${id}`, PROBE_TIMEOUT_MS, this.#scope, (signal) =>
      probe(instance, signal),
    ).catch((): Evidence => "unknown");
    this.#knocking.delete(id);
    if (this.#scope.signal.aborted) return;
    if (membership.found(id, evidence, this.#scope.clock.now()).changed) this.#tellSoon();
    this.look(); // the next one's turn
  }

  #tellSoon(): void {
    this.#telling ??= this.#scope.clock.schedule(TOGETHER_MS, () => {
      this.#telling = undefined;
      this.#options.changed();
    });
  }

  /** When the next doubt can be confirmed, or is over. A registry that did not answer is not pressed. */
  #dueAt(): number {
    const { confirmMs } = this.#options;
    let dueAt = Number.POSITIVE_INFINITY;
    for (const { since, until, confirmed, evidence } of this.#options.membership.open.values()) {
      dueAt = Math.min(dueAt, until);
      if (evidence === "refused" && !confirmed) dueAt = Math.min(dueAt, Math.max(since, this.#askedAt) + confirmMs);
    }
    return dueAt;
  }

  async #due(): Promise<void> {
    const { membership, ask, changed } = this.#options;
    const now = this.#scope.clock.now();
    const asks = [...membership.open.values()].some(({ until, confirmed, evidence }) => {
      return now >= until ? evidence === "alive" : evidence === "refused" && !confirmed; // of the living it may think better
    });
    if (asks) this.#askedAt = now;
    if (asks) await ask().catch(() => {}); // a registry that does not answer confirms nothing
    if (this.#scope.signal.aborted) return;
    if (membership.settle(this.#scope.clock.now()).changed) changed();
    else this.look();
  }
}
