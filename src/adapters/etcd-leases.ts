import { randomUUID } from "node:crypto";
import type { Lease } from "../registry/registry.js";
import type { Clock } from "../runtime/clock.js";
import { haltSignal, untilAborted } from "../runtime/deadline.js";
import type { EtcdClient } from "./etcd-client.js";
import { numberOf } from "./etcd-record.js";

/** A lease that several share is renewed before somebody joins it, unless that was done within this share of its ttl. */
const FRESH_SHARE = 1 / 3;

/** A lease of etcd. */
export interface EtcdLease {
  readonly id: string;
  /** What etcd answered: never less than twice its election timeout allows. */
  readonly ttlMs: number;
  /** Whether only one registration hangs on it. */
  readonly alone: boolean;
}

/** What a lease id of ours says: which lease of etcd it hangs on, and which life it is. */
export interface LeaseName {
  readonly etcd: string;
  readonly life: string;
  readonly alone: boolean;
}

/** A new life's word: nobody guesses that of another. */
export function newLife(): string {
  return randomUUID().replaceAll("-", ""); // drawn from a store of random bytes: a twentieth of what asking for some costs
}

export function nameOf({ id, alone }: EtcdLease, life: string): string {
  return `${alone ? "own" : "shared"}/${id}/${life}`;
}

/** Undefined for an id that none of ours has. */
export function readName({ id }: Lease): LeaseName | undefined {
  const [, kind, etcd, life] = /^(own|shared)\/(\d+)\/([0-9a-f]+)$/.exec(id) ?? [];
  return etcd && life ? { etcd, life, alone: kind === "own" } : undefined;
}

interface Shared {
  readonly granted: Promise<EtcdLease>;
  /** What was granted, as soon as it was. */
  id?: string;
  renewedAt: number;
}

/** Leases of etcd: one for all registrations of the same ttl, but for those that must be able to die alone. */
export class EtcdLeases {
  readonly #client: EtcdClient;
  readonly #clock: Clock;
  readonly #halt = haltSignal();
  readonly #shared = new Map<number, Shared>();

  constructor(client: EtcdClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  async for(ttlMs: number, alone: boolean, signal: AbortSignal): Promise<EtcdLease> {
    const seconds = Math.ceil(ttlMs / 1_000);
    if (alone) return this.#grant(seconds, true, signal);
    const shared = this.#shared.get(seconds) ?? this.#begin(seconds);
    const lease = await untilAborted(shared.granted, signal);
    if (this.#clock.now() - shared.renewedAt < lease.ttlMs * FRESH_SHARE) return lease;
    if (await this.keepAlive(lease.id, signal)) return lease;
    return this.for(ttlMs, alone, signal); // it is forgotten now
  }

  /** False if etcd no longer knows it. */
  async keepAlive(id: string, signal: AbortSignal): Promise<boolean> {
    const sentAt = this.#clock.now();
    const { TTL } = await this.#client.call("/v3/lease/keepalive", { ID: id }, signal);
    if (numberOf(TTL) <= 0) this.forget(id);
    else for (const shared of this.#shared.values()) if (shared.id === id) shared.renewedAt = sentAt;
    return numberOf(TTL) > 0;
  }

  /** Nobody is to join it any more. */
  forget(id: string): void {
    for (const [seconds, shared] of this.#shared) if (shared.id === id) this.#shared.delete(seconds);
  }

  /** Ends a lease that nothing hangs on; what fails here, its ttl mends. */
  async revoke(id: string, signal: AbortSignal): Promise<void> {
    await this.#client.call("/v3/lease/revoke", { ID: id }, signal).catch(() => {});
  }

  #begin(seconds: number): Shared {
    const granted = this.#grant(seconds, false, this.#halt.signal);
    const shared: Shared = { granted, renewedAt: this.#clock.now() };
    this.#shared.set(seconds, shared);
    granted.then(
      ({ id }) => {
        shared.id = id;
      },
      () => {
        if (this.#shared.get(seconds) === shared) this.#shared.delete(seconds);
      },
    );
    return shared;
  }

  async #grant(seconds: number, alone: boolean, signal: AbortSignal): Promise<EtcdLease> {
    const { ID, TTL } = await this.#client.call("/v3/lease/grant", { TTL: String(seconds) }, signal);
    return { id: String(ID), ttlMs: numberOf(TTL) * 1_000, alone };
  }
}
