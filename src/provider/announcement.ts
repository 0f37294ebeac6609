import { DiscoveryError } from "../model/errors.js";
import { type ServiceInstance, withFields } from "../model/instance.js";
import type { Lease, Registrar } from "../registry/registry.js";
import type { Scope } from "../runtime/clock.js";
import { within } from "../runtime/deadline.js";
import { RECONNECT, retrying } from "../runtime/retry.js";
import type { AgentUpdate } from "./agent-options.js";

/** A registry answers a registration or an update within this, in milliseconds, or counts as away (Nacos: 3 s). */
export const ANSWER_MS = 3_000;

/** What consumers are to be told of us, and how far the registry knows it. */
export class Announcement {
  readonly #registrar: Registrar;
  readonly #scope: Scope;
  #wanted: ServiceInstance;
  #edition = 0;
  #told: ServiceInstance | undefined;
  #telling: Promise<void> | undefined;
  #lease: Lease | undefined;

  constructor(registrar: Registrar, wanted: ServiceInstance, scope: Scope) {
    this.#registrar = registrar;
    this.#wanted = wanted;
    this.#scope = scope;
  }

  /** What consumers are to be told. */
  get wanted(): ServiceInstance {
    return this.#wanted;
  }

  /** How often that has changed. */
  get edition(): number {
    return this.#edition;
  }

  /** What the registry was told last; undefined while it knows nothing of us. */
  get told(): ServiceInstance | undefined {
    return this.#told;
  }

  /** Under which it knows us. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** Changes what consumers are told; without a lease, the next registration tells it. */
  change(fields: AgentUpdate): Promise<void> {
    this.#wanted = withFields(this.#wanted, fields, "update");
    this.#edition++;
    return this.tell();
  }

  /** The registry has taken us in, as `told` says. */
  taken(lease: Lease, told: ServiceInstance): void {
    this.#lease = lease;
    this.#told = told;
  }

  /** It knows us no more. */
  lost(): void {
    this.#lease = undefined;
    this.#told = undefined;
  }

  /** Brings the registry's knowledge of us up to date; joins a request already under way. */
  async tell(): Promise<void> {
    while (this.#lease && this.#told !== this.#wanted) {
      this.#telling ??= this.#tellOnce(this.#lease).finally(() => {
        this.#telling = undefined;
      });
      await this.#telling;
    }
  }

  async #tellOnce(lease: Lease): Promise<void> {
    const wanted = this.#wanted;
    const edition = this.#edition;
    const update = (): Promise<Lease> =>
      within(`update of ${wanted.id}`, ANSWER_MS, this.#scope, (signal) =>
        this.#registrar.update(lease, wanted, { edition, signal }),
      );
    const updated = await retrying({ ...RECONNECT, tries: 3 }, this.#scope, update).catch((error: unknown) => {
      throw named(error, "update", wanted);
    });
    if (this.#lease === lease) this.#lease = updated;
    this.#told = wanted;
  }
}

/** What a registrar failed with, as an error of ours. */
export function named(cause: unknown, what: string, { service }: ServiceInstance): DiscoveryError {
  return DiscoveryError.is(cause) ? cause : new DiscoveryError("UNAVAILABLE", `The ${what} failed`, { cause, service });
}
