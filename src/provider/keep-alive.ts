import { DiscoveryError } from "../model/errors.js";
import type { InstanceStatus } from "../model/instance.js";
import type { Beat, Lease, Registrar, Renewal } from "../registry/registry.js";
import type { Cancel, Clock, Random } from "../runtime/clock.js";
import { within } from "../runtime/deadline.js";
import { channels } from "../runtime/diagnostics.js";
import { backoff } from "../runtime/retry.js";
import { onWake } from "../runtime/wake.js";

/** The share by which a beat may come early, so that a fleet deployed at once drifts apart. Never late: late costs the lease. */
const JITTER = 0.1;
/** A beat is answered within this, in milliseconds, or within half an interval if that is shorter (Nacos: 3 s). */
const BEAT_TIMEOUT_MS = 3_000;
/** After a missed beat: soon again, each time later, never later than a beat would be. */
const AFTER_MISS = { firstMs: 500, factor: 2 } as const;

/** A lease somebody wants kept. */
export interface HeldLease {
  readonly lease: Lease;
  /** What the next beat says. */
  beat(): Beat;
  /** The registry confirmed the lease, and perhaps told in which status it publishes the instance. */
  renewed(published: InstanceStatus | undefined): void;
  /** A beat went unanswered; the next one follows soon. */
  missed(cause: DiscoveryError): void;
  /** The lease is gone; it is no longer held. */
  lost(loss: Loss): void;
}

/** How a lease was lost. */
export interface Loss {
  readonly cause: DiscoveryError;
  /** Why the registry knows it no more, in the registry's word, if it is the registry that said so. */
  readonly reason: string | undefined;
}

/** A machine that slept beats within this, in milliseconds, of noticing: its leases may be over. */
const WAKE_SPREAD_MS = 400;

interface Entry {
  readonly held: HeldLease;
  /** When the last answered beat was sent: the registry began to count after that, never before. */
  renewedAt: number;
}

const running = new WeakMap<Registrar, KeepAlive>();

/** Keeps a lease alive until the returned function is called. Leases of one registrar share their beats. */
export function keepAlive(registrar: Registrar, held: HeldLease, ground: { clock: Clock; random: Random }): () => void {
  let shared = running.get(registrar);
  if (!shared) {
    shared = new KeepAlive(registrar, ground.clock, ground.random);
    running.set(registrar, shared);
  }
  return shared.hold(held);
}

/** One request for all leases of a registrar, and never two in flight. */
class KeepAlive {
  readonly #registrar: Registrar;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #entries = new Set<Entry>();
  #halt: AbortController | undefined;
  #sleepless: Cancel = () => {};
  #wanted: number | undefined;

  constructor(registrar: Registrar, clock: Clock, random: Random) {
    this.#registrar = registrar;
    this.#clock = clock;
    this.#random = random;
  }

  hold(held: HeldLease): () => void {
    const entry = { held, renewedAt: this.#clock.now() };
    const hurried = held.lease.heartbeatMs < this.#intervalMs();
    this.#entries.add(entry);
    if (hurried || !this.#halt) this.#restart(this.#intervalMs() * this.#random()); // a fleet deployed at once must not beat at once
    if (this.#entries.size === 1)
      this.#sleepless = onWake(this.#clock, () => this.#restart(WAKE_SPREAD_MS * this.#random(), true));
    return () => this.#drop(entry);
  }

  #drop(entry: Entry): void {
    this.#entries.delete(entry);
    if (this.#entries.size > 0) return;
    this.#sleepless();
    this.#halt?.abort();
    this.#halt = undefined;
  }

  /** @param woke a fleet that woke at once has just beaten within one second: its next beats are spread over an interval */
  #restart(pauseMs: number, woke = false): void {
    this.#halt?.abort();
    this.#halt = new AbortController();
    void this.#beat(pauseMs, woke, this.#halt.signal);
  }

  #intervalMs(): number {
    let least = this.#wanted ?? Number.POSITIVE_INFINITY;
    for (const { held } of this.#entries) least = Math.min(least, held.lease.heartbeatMs);
    return least;
  }

  /** Never rejects: a timer of ours must not end anybody's process. */
  async #beat(firstMs: number, woke: boolean, signal: AbortSignal): Promise<void> {
    let misses = 0;
    let pauseMs = firstMs;
    let isSpread = !woke;
    while (!signal.aborted) {
      await this.#clock.sleep(pauseMs, signal).catch(() => {});
      if (signal.aborted) return;
      const sentAt = this.#clock.now();
      misses = (await this.#beatOnce(signal)) ? 0 : misses + 1;
      const intervalMs = this.#intervalMs();
      const tookMs = this.#clock.now() - sentAt; // a registry that stood still answers all at once: keep apart
      const calmMs = Math.max(0, intervalMs * (1 - JITTER * this.#random()) - tookMs);
      pauseMs = misses === 0 ? calmMs : backoff({ ...AFTER_MISS, capMs: intervalMs }, misses, this.#random);
      if (!isSpread) pauseMs *= this.#random();
      isSpread = true;
    }
  }

  async #beatOnce(signal: AbortSignal): Promise<boolean> {
    const entries = [...this.#entries];
    const sentAt = this.#clock.now();
    const limitMs = Math.min(BEAT_TIMEOUT_MS, this.#intervalMs() / 2);
    const what = `heartbeat to ${this.#registrar.name}`;
    try {
      const beats = entries.map(({ held }) => held.beat());
      const renewal = await within(what, limitMs, { clock: this.#clock, signal }, (inner) =>
        this.#registrar.renew(beats, { signal: inner }),
      );
      if (renewal.heartbeatMs !== undefined && renewal.heartbeatMs > 0) this.#wanted = renewal.heartbeatMs;
      const unknown = new Map(renewal.unknown.map(({ lease, reason }) => [lease.id, reason ?? "unknown"]));
      entries.forEach((entry, index) => {
        const { lease } = beats[index] as Beat; // an update may have changed it since it was granted
        this.#answered(entry, lease, sentAt, unknown.get(lease.id), renewal);
      });
      this.#tell(entries.length, undefined);
      return true;
    } catch (cause) {
      if (signal.aborted) return false;
      const error = DiscoveryError.is(cause) ? cause : new DiscoveryError("UNAVAILABLE", `${what} failed`, { cause });
      for (const entry of entries) this.#missed(entry, error);
      this.#tell(entries.length, error);
      return false;
    }
  }

  #answered(entry: Entry, lease: Lease, sentAt: number, unknown: string | undefined, renewal: Renewal): void {
    if (!this.#entries.has(entry)) return; // let go meanwhile
    const { epoch, statuses } = renewal;
    const forgot = epoch !== undefined && lease.epoch !== undefined && epoch !== lease.epoch;
    if (unknown === undefined && !forgot) {
      entry.renewedAt = sentAt;
      entry.held.renewed(statuses?.get(lease.id));
      return;
    }
    const why = unknown ?? "the registry began anew";
    const message = `${this.#registrar.name} no longer knows ${lease.instance.id}: ${why}`;
    this.#drop(entry);
    entry.held.lost({ cause: new DiscoveryError("LEASE_LOST", message), reason: unknown });
  }

  #missed(entry: Entry, cause: DiscoveryError): void {
    if (!this.#entries.has(entry)) return;
    const { lease } = entry.held;
    entry.held.missed(cause);
    if (this.#clock.now() - entry.renewedAt < lease.ttlMs) return;
    this.#drop(entry);
    const message = `Lease of ${lease.instance.id} ran out unrenewed after ${lease.ttlMs} ms`;
    entry.held.lost({ cause: new DiscoveryError("LEASE_LOST", message, { cause }), reason: undefined });
  }

  #tell(leases: number, error: DiscoveryError | undefined): void {
    if (channels.heartbeat.hasSubscribers)
      channels.heartbeat.publish({ registry: this.#registrar.name, leases, error });
  }
}
