import { DiscoveryError } from "../model/errors.js";
import type { DeclaredStatus, ServiceInstance } from "../model/instance.js";
import { inStatus } from "../model/instance.js";
import type { Clock } from "../runtime/clock.js";
import type { NacosApi } from "./nacos-api.js";
import type { Beaten } from "./nacos-dialects.js";
import { keyOf, toNacos } from "./nacos-record.js";

const UNKNOWN: Beaten = { known: false, intervalMs: undefined };
const TAKEN: Beaten = { known: true, intervalMs: undefined };

/** Where instances are put. */
export interface NacosPlace {
  readonly api: NacosApi;
  readonly clock: Clock;
  /** How a service is called in Nacos. */
  readonly nameOf: (service: string) => string;
  readonly cluster: string;
}

/**
 * One life of an instance, as far as this process knows of it. A light beat goes wherever nothing is in doubt; after any
 * doubt the whole record goes instead: some servers make a bare instance of a beat that they cannot place.
 */
export class NacosLease {
  readonly #place: NacosPlace;
  readonly #ttlMs: number;
  #instance: ServiceInstance;
  #knownAt: number;
  /** How often servers of the cluster had been left when it was published: another one may not have heard of it. */
  #movesThen: number;
  #isDoubtful = false;
  #hasEnded = false;
  #isReplaced = false;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(place: NacosPlace, instance: ServiceInstance, ttlMs: number) {
    this.#place = place;
    this.#instance = instance;
    this.#ttlMs = ttlMs;
    this.#knownAt = place.clock.now();
    this.#movesThen = place.api.moves;
  }

  /** Tells Nacos everything about the instance. Never two at once: the older could arrive last. */
  async publish(instance: ServiceInstance, signal: AbortSignal): Promise<void> {
    const { api, clock, nameOf, cluster } = this.#place;
    this.#instance = instance;
    const before = this.#writing;
    const written = (async () => {
      await before;
      signal.throwIfAborted();
      if (this.#hasEnded) throw new DiscoveryError("LEASE_LOST", `${instance.id} has left Nacos`);
      if (this.#isReplaced) throw new DiscoveryError("LEASE_LOST", `${instance.id} was registered anew meanwhile`);
      const sentAt = clock.now();
      const { moves } = api;
      await api.register(toNacos(nameOf(instance.service), this.#instance, cluster), signal);
      this.#knownAt = sentAt;
      this.#movesThen = moves;
      this.#isDoubtful = false;
    })();
    this.#writing = written.catch(() => {});
    await written;
  }

  /** Keeps it alive, in the status it declares. */
  async beat(status: DeclaredStatus | undefined, signal: AbortSignal): Promise<Beaten> {
    if (this.#hasEnded || this.#isReplaced) return this.touch(signal);
    const { clock } = this.#place;
    const declared = inStatus(this.#instance, status ?? this.#instance.status);
    try {
      if (clock.now() - this.#knownAt >= this.#ttlMs) return UNKNOWN; // who was silent for so long registers anew
      const beaten = this.#isInDoubt ? TAKEN : await this.touch(signal);
      if (beaten.known && (this.#isInDoubt || declared !== this.#instance)) {
        await this.publish(inStatus(this.#instance, declared.status), signal);
      }
      return beaten;
    } catch (error) {
      this.#isDoubtful = true;
      throw error;
    }
  }

  /** Also during a beat: it may be answered by another server than it was sent to first. */
  get #isInDoubt(): boolean {
    return this.#isDoubtful || this.#place.api.moves !== this.#movesThen;
  }

  /** Whether Nacos has it, which is a beat as well. */
  async touch(signal: AbortSignal): Promise<Beaten> {
    if (this.#hasEnded) return UNKNOWN;
    const { api, clock, nameOf, cluster } = this.#place;
    const sentAt = clock.now();
    const beaten = await api.beat(keyOf(nameOf(this.#instance.service), this.#instance, cluster), signal);
    if (beaten.known) this.#knownAt = sentAt;
    return beaten;
  }

  /** Takes it out, after whatever is still being written; not if that would take out its successor. */
  async end(signal: AbortSignal): Promise<void> {
    this.#hasEnded = true;
    await this.#writing;
    if (this.#isReplaced) return;
    const { api, nameOf, cluster } = this.#place;
    await api.deregister(keyOf(nameOf(this.#instance.service), this.#instance, cluster), signal);
  }

  /** The address was registered anew: from now on it says nothing that would be told of its successor. */
  giveWay(): void {
    this.#isReplaced = true;
  }
}
