import { createHmac, timingSafeEqual } from "node:crypto";
import { defineInstance } from "../model/instance.js";
import type { Lease, SharedRegistry } from "../registry/registry.js";
import type { Clock } from "../runtime/clock.js";
import { haltSignal, untilAborted } from "../runtime/deadline.js";

/** A store that has begun anew has another secret; a token that does not fit makes us look at most this often, in milliseconds. */
const LOOK_AGAIN_MS = 1_000;

/**
 * Leases as texts that any server on the same store can read and nobody can invent: what is needed of the lease, and
 * its HMAC-SHA-256 under a secret of the store's.
 */
export class LeaseTokens {
  readonly #registry: SharedRegistry;
  readonly #clock: Clock;
  readonly #given: string | undefined;
  readonly #halt = haltSignal();
  #secret: Promise<string> | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #epoch: string | undefined;

  /** @param key instead of the store's own secret */
  constructor(registry: SharedRegistry, clock: Clock, key: string | undefined) {
    this.#registry = registry;
    this.#clock = clock;
    this.#given = key;
  }

  async sign(lease: Lease, signal: AbortSignal): Promise<string> {
    if (lease.epoch !== this.#epoch) this.#secret = undefined;
    this.#epoch = lease.epoch;
    const { service, id, host, port, incarnation } = lease.instance;
    const told = [lease.id, service, id, host, port, incarnation, lease.ttlMs, lease.heartbeatMs];
    const text = Buffer.from(JSON.stringify(told)).toString("base64url");
    return `${text}.${macOf(text, await this.#key(signal)).toString("base64url")}`;
  }

  /** The lease a token tells of; undefined if none of us made it. What is held under it now, the store knows. */
  async read(token: string, signal: AbortSignal): Promise<Lease | undefined> {
    const end = token.lastIndexOf(".");
    if (end < 1) return undefined;
    const text = token.slice(0, end);
    const mac = Buffer.from(token.slice(end + 1), "base64url");
    if (!isSame(mac, macOf(text, await this.#key(signal)))) {
      if (this.#clock.now() - this.#readAt < LOOK_AGAIN_MS) return undefined;
      this.#secret = undefined;
      if (!isSame(mac, macOf(text, await this.#key(signal)))) return undefined;
    }
    return leaseIn(text);
  }

  #key(signal: AbortSignal): Promise<string> {
    if (this.#given !== undefined) return Promise.resolve(this.#given);
    if (!this.#secret) {
      this.#readAt = this.#clock.now();
      const secret = this.#registry.secret({ signal: this.#halt.signal });
      this.#secret = secret;
      secret.catch(() => {
        if (this.#secret === secret) this.#secret = undefined;
      });
    }
    return untilAborted(this.#secret, signal);
  }
}

function macOf(text: string, key: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

/** In a time that tells nothing of where they differ. */
function isSame(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** One of us has made it: it can be read. */
function leaseIn(text: string): Lease {
  const [leaseId, service, id, host, port, incarnation, ttlMs, heartbeatMs] = JSON.parse(
    Buffer.from(text, "base64url").toString("utf8"),
  ) as [string, string, string, string, number, number, number, number];
  return { id: leaseId, instance: defineInstance({ service, id, host, port, incarnation, ttlMs }), ttlMs, heartbeatMs };
}
