import { randomBytes } from "node:crypto";
import type { Cancel, Clock } from "../runtime/clock.js";

/** How often due leases are looked for, in milliseconds: no lease outlives its ttl by more than this. */
const TICK_MS = 1_000;
/** A tick later than this, in milliseconds, means that this process stood still, and nobody could renew. */
const STALL_MS = 500;
const LEASE_BYTES = 16; // 128 bits: nobody guesses the lease of another
const POOL_BYTES = LEASE_BYTES * 256; // one call to the system's source of chance for 256 leases

/** What the table keeps of a lease; the holder's own data stays with whoever extends this. */
export interface Held {
  readonly leaseId: string;
  readonly ttlMs: number;
}

interface Entry<T extends Held> {
  held: T;
  expiresAt: number;
  bucket: number;
}

/**
 * Leases that end by themselves at their ttl, never early and at most a second late.
 *
 * Renewing moves a number: a lease waits in the bucket of the second it was once due in and is looked at again then, so
 * every operation costs the same with a hundred thousand leases as with one. The time during which this process stood
 * still does not count: nobody could renew.
 */
export class LeaseTable<T extends Held> {
  readonly #clock: Clock;
  readonly #expired: (held: T) => void;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #buckets = new Map<number, Set<Entry<T>>>();
  #stalledMs = 0;
  #tickDue = Number.POSITIVE_INFINITY;
  #swept: number;
  #cancel: Cancel | undefined;

  constructor(clock: Clock, expired: (held: T) => void) {
    this.#clock = clock;
    this.#expired = expired;
    this.#swept = bucketOf(clock.now()) - 1;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(leaseId: string): T | undefined {
    return this.#entries.get(leaseId)?.held;
  }

  grant(held: T): void {
    const expiresAt = this.#now() + held.ttlMs;
    const entry = { held, expiresAt, bucket: bucketOf(expiresAt) };
    this.#entries.set(held.leaseId, entry);
    this.#into(entry);
    if (!this.#cancel) this.#tickIn(TICK_MS);
  }

  /** Begins the ttl anew. */
  renew(leaseId: string): void {
    const entry = this.#entries.get(leaseId);
    if (entry) entry.expiresAt = this.#now() + entry.held.ttlMs;
  }

  /** Puts another holder in the place of the lease's present one; its time goes on. */
  replace(held: T): void {
    const entry = this.#entries.get(held.leaseId);
    if (entry) entry.held = held;
  }

  end(leaseId: string): void {
    const entry = this.#entries.get(leaseId);
    if (!entry) return;
    this.#entries.delete(leaseId);
    this.#buckets.get(entry.bucket)?.delete(entry);
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** Time as leases see it: without what this process missed. */
  #now(): number {
    const now = this.#clock.now();
    if (now - this.#tickDue > STALL_MS) {
      this.#stalledMs += now - this.#tickDue;
      this.#tickDue = now;
    }
    return now - this.#stalledMs;
  }

  #into(entry: Entry<T>): void {
    let bucket = this.#buckets.get(entry.bucket);
    if (!bucket) {
      bucket = new Set();
      this.#buckets.set(entry.bucket, bucket);
    }
    bucket.add(entry);
  }

  #tickIn(ms: number): void {
    this.#tickDue = this.#clock.now() + ms;
    this.#cancel = this.#clock.schedule(ms, () => this.#tick());
  }

  #tick(): void {
    this.#sweep(this.#now());
    this.#cancel = undefined;
    this.#tickDue = Number.POSITIVE_INFINITY;
    if (this.#entries.size > 0) this.#tickIn(TICK_MS);
  }

  #sweep(now: number): void {
    const last = Math.floor(now / TICK_MS);
    if (last - this.#swept > this.#buckets.size) {
      for (const due of this.#buckets.keys()) if (due <= last) this.#sweepBucket(due, now);
    } else {
      for (let due = this.#swept + 1; due <= last; due++) this.#sweepBucket(due, now);
    }
    this.#swept = last;
  }

  #sweepBucket(due: number, now: number): void {
    const bucket = this.#buckets.get(due);
    if (!bucket) return;
    this.#buckets.delete(due);
    for (const entry of bucket) {
      if (entry.expiresAt <= now) {
        this.#entries.delete(entry.held.leaseId);
        this.#expired(entry.held);
      } else {
        entry.bucket = bucketOf(entry.expiresAt);
        this.#into(entry);
      }
    }
  }
}

/** The first tick at which a lease due at `time` may be ended. */
function bucketOf(time: number): number {
  return Math.ceil(time / TICK_MS);
}

let pool = Buffer.alloc(0);
let used = 0;

/** A new lease's secret name. */
export function newLeaseId(): string {
  if (used >= pool.length) {
    pool = randomBytes(POOL_BYTES);
    used = 0;
  }
  used += LEASE_BYTES;
  return pool.toString("base64url", used - LEASE_BYTES, used);
}
