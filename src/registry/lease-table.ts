import { randomBytes } from "node:crypto";
import type { Cancel, Clock } from "../runtime/clock.js";

/** How often leases are looked at, in milliseconds: with a look that comes late, none outlives its ttl by a second. */
const TICK_MS = 500;
/** A tick later than this, in milliseconds, means that this process stood still, and nobody could renew. */
const STALL_MS = 500;
/** Beats per ttl: two may be lost before the lease is. */
export const BEATS_PER_TTL = 3;
/** A beat is late after one and a half intervals: the share of the ttl. */
const LATE_SHARE = 1.5 / BEATS_PER_TTL;
const LEASE_BYTES = 16; // 128 bits: nobody guesses the lease of another
const POOL_BYTES = LEASE_BYTES * 256; // one call to the system's source of chance for 256 leases
/** The bucket of a lease that waits in none. */
export const UNPLACED = -1;

/** What the table keeps of a lease, on the object of whoever holds it: another object for each would cost as much again. */
export interface Held {
  readonly leaseId: string;
  readonly ttlMs: number;
  /** When it was last renewed, in whole milliseconds of the table's time. The table's own, as is `bucket`. */
  beatAt: number;
  bucket: number;
}

/** Leases that are looked at together. Those that have ended stay until they are half of them. */
interface Bucket<T> {
  held: T[];
  ended: number;
}

/** What the table tells. */
export interface LeaseEvents<T extends Held> {
  /** No beat for more than one and a half intervals; once per silence. */
  late(held: T): void;
  /** After each look: those whose ttl is over. They stay until they are ended; a renewal brings them back. */
  due(held: readonly T[], now: number): void;
}

/**
 * Leases that fall due at their ttl, never early and at most a second late, and are told late before that.
 *
 * Renewing moves a number: a lease waits in the bucket of the moment it was once to be looked at, and is placed anew
 * then, so every operation costs the same with a hundred thousand leases as with one. The time during which this process
 * stood still does not count: nobody could renew.
 */
export class LeaseTable<T extends Held> {
  readonly #clock: Clock;
  readonly #events: LeaseEvents<T>;
  readonly #leases = new Map<string, T>();
  readonly #buckets = new Map<number, Bucket<T>>();
  #stalledMs = 0;
  #tickDue = Number.POSITIVE_INFINITY;
  #swept: number;
  #cancel: Cancel | undefined;

  constructor(clock: Clock, events: LeaseEvents<T>) {
    this.#clock = clock;
    this.#events = events;
    this.#swept = Math.floor(clock.now() / TICK_MS);
  }

  get size(): number {
    return this.#leases.size;
  }

  get(leaseId: string): T | undefined {
    return this.#leases.get(leaseId);
  }

  values(): IterableIterator<T> {
    return this.#leases.values();
  }

  /** Time as leases see it, in milliseconds: without what this process missed. */
  now(): number {
    const now = this.#clock.now();
    if (now - this.#tickDue > STALL_MS) {
      this.#stalledMs += now - this.#tickDue;
      this.#tickDue = now;
    }
    return now - this.#stalledMs;
  }

  grant(held: T): void {
    held.beatAt = Math.ceil(this.now());
    this.#leases.set(held.leaseId, held);
    this.#place(held, bucketAfter(held.beatAt + lateMs(held)));
    if (!this.#cancel) this.#schedule();
  }

  /** Begins the ttl anew. False if the beat was late. */
  renew(held: T): boolean {
    const now = this.now();
    const inTime = now - held.beatAt <= lateMs(held);
    held.beatAt = Math.ceil(now); // a fraction would be an object of its own; rounded up, no lease ends early
    if (held.bucket === UNPLACED) this.#place(held, bucketAfter(now + lateMs(held)));
    return inTime;
  }

  end(held: T): void {
    this.#leases.delete(held.leaseId);
    const index = held.bucket;
    held.bucket = UNPLACED;
    const bucket = this.#buckets.get(index);
    if (!bucket || ++bucket.ended * 2 < bucket.held.length) return;
    bucket.held = bucket.held.filter((each) => each.bucket === index);
    bucket.ended = 0;
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #place(held: T, index: number): void {
    let bucket = this.#buckets.get(index);
    if (!bucket) {
      bucket = { held: [], ended: 0 };
      this.#buckets.set(index, bucket);
    }
    bucket.held.push(held);
    held.bucket = index;
  }

  /** At the next boundary of a bucket, so that none waits for the tick after the one it was made for. */
  #schedule(): void {
    const ms = TICK_MS - (this.now() % TICK_MS);
    this.#tickDue = this.#clock.now() + ms;
    this.#cancel = this.#clock.schedule(ms, () => this.#tick());
  }

  #tick(): void {
    this.#sweep(this.now());
    this.#cancel = undefined;
    this.#tickDue = Number.POSITIVE_INFINITY;
    if (this.#leases.size > 0) this.#schedule();
  }

  #sweep(now: number): void {
    const last = Math.floor(now / TICK_MS);
    const due: T[] = [];
    if (last - this.#swept > this.#buckets.size) {
      for (const index of this.#buckets.keys()) if (index <= last) this.#look(index, now, due);
    } else {
      for (let index = this.#swept + 1; index <= last; index++) this.#look(index, now, due);
    }
    this.#swept = last;
    this.#events.due(due, now);
  }

  #look(index: number, now: number, due: T[]): void {
    const bucket = this.#buckets.get(index);
    if (!bucket) return;
    this.#buckets.delete(index);
    for (const held of bucket.held) {
      if (held.bucket !== index) continue; // it has ended
      const expiresAt = held.beatAt + held.ttlMs;
      held.bucket = UNPLACED;
      if (expiresAt <= now) due.push(held);
      else if (held.beatAt + lateMs(held) >= now) this.#place(held, bucketAfter(held.beatAt + lateMs(held)));
      else {
        this.#place(held, bucketOf(expiresAt)); // a beat until then is not late again before this bucket's turn
        this.#events.late(held);
      }
    }
  }
}

function lateMs({ ttlMs }: Held): number {
  return ttlMs * LATE_SHARE;
}

/** The first tick at `time` or after it. */
function bucketOf(time: number): number {
  return Math.ceil(time / TICK_MS);
}

/** The first tick that is truly after `time`. */
function bucketAfter(time: number): number {
  return Math.floor(time / TICK_MS) + 1;
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
