import { hostPort, type ServiceInstance } from "../model/instance.js";
import type { CheckedLease } from "../registry/memory-options.js";
import type { HealthCheck, Lease } from "../registry/registry.js";
import type { ObservedStatus } from "../registry/status.js";
import type { Cancel, Clock, Random } from "../runtime/clock.js";
import { isLoopback, networkOf } from "./addresses.js";
import type { Probe, Probed } from "./probe.js";
import { ProbePace } from "./probe-pace.js";
import { ProbeQueue } from "./probe-queue.js";
import { ProbeQuota } from "./probe-quota.js";
import { type ProbeRules, type ProbeTarget, probeTarget } from "./probe-target.js";
import { ProbeVerdict } from "./probe-verdict.js";

/** As many as a memory holds leases. */
const MAX_TARGETS = 100_000;
/** Share of the interval by which a probe may come early, so that a fleet that came at once is not asked at once. */
const JITTER = 0.1;

/** A registry that takes note of what the prober sees. Neither may throw: there is nobody to hear of it. */
export interface ProbeSink {
  /** The live lease of that id. */
  lease(id: string): Lease | undefined;
  observe(leaseId: string, seen: ObservedStatus): void;
}

export interface ProberOptions {
  readonly sink: ProbeSink;
  readonly rules: ProbeRules;
  readonly probe: Probe;
  readonly clock: Clock;
  readonly random: Random;
  /** Distinct targets of one registrant. */
  readonly maxPerPeer: number;
}

/** What the prober has done so far, for `GET /v1/status`: counts, never answers. */
export interface ProberCounts {
  readonly targets: number;
  readonly probes: number;
  /** Probes that failed. */
  readonly failed: number;
  /** Probes that a rule forbade: the name led to an address that is not probed. */
  readonly denied: number;
  /** Registrations that asked for it and are not probed: their registrant has too many targets. */
  readonly unprobed: number;
}

interface Watched {
  readonly key: string;
  readonly leaseId: string;
  /** Whom it counts for. */
  readonly registrant: string;
  readonly address: string;
  readonly target: ProbeTarget;
  readonly health: HealthCheck;
  readonly verdict: ProbeVerdict;
  cancel: Cancel;
}

/** Probes the instances that asked for it, and tells the registry when one turns bad or good. */
export class Prober {
  readonly #options: ProberOptions;
  readonly #quota: ProbeQuota;
  readonly #pace = new ProbePace();
  /** By service and id: whoever registers again takes the place of the life before. */
  readonly #watched = new Map<string, Watched>();
  readonly #queue = new ProbeQueue<Watched>();
  readonly #running = new Set<AbortController>();
  readonly #counts = { probes: 0, failed: 0, denied: 0, unprobed: 0 };
  #closed = false;

  constructor(options: ProberOptions) {
    this.#options = options;
    this.#quota = new ProbeQuota(options.maxPerPeer);
  }

  get counts(): ProberCounts {
    return { targets: this.#watched.size, ...this.#counts };
  }

  /** Refuses what could never be probed, before anybody is registered. @throws {DiscoveryError} `INVALID_OPTION` */
  check(field: string, instance: ServiceInstance, health: HealthCheck, peer: string): void {
    this.#targetOf(field, instance, health, peer);
  }

  /** Probes that lease from now on, or no longer; whether it does. @param peer who registered it, by address */
  watch({ id: leaseId, instance }: Lease, health: HealthCheck | undefined, peer: string): boolean {
    if (!health && this.#watched.size === 0) return false;
    const key = `${instance.service}\0${instance.id}`;
    const before = this.#watched.get(key);
    if (before) this.#drop(before);
    if (!health || this.#closed) return false;
    const { clock, random } = this.#options;
    const address = hostPort(instance.host, instance.port);
    const registrant = networkOf(peer);
    const target = this.#targetOf("health_check", instance, health, peer);
    if (!this.#hasRoom() || !this.#quota.take(registrant, address, clock.now())) {
      this.#counts.unprobed++; // it stays registered: to be found matters more than to be probed
      return false;
    }
    const verdict = new ProbeVerdict(health.failures);
    const watched: Watched = { key, leaseId, registrant, address, target, health, verdict, cancel: () => {} };
    this.#watched.set(key, watched);
    this.#plan(watched, health.intervalMs * random());
    return true;
  }

  /** Goes on with leases that outlived a restart, as far as the rules of today let it. */
  resume(leases: readonly CheckedLease[]): void {
    for (const { lease, health } of leases) {
      try {
        this.watch(lease, health, lease.instance.host); // it registered itself, as far as anybody knows
      } catch {
        this.#counts.unprobed++;
      }
    }
  }

  /** Ends every probe. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const watched of this.#watched.values()) this.#drop(watched);
    for (const controller of this.#running) controller.abort();
  }

  #targetOf(field: string, instance: ServiceInstance, { path }: HealthCheck, peer: string): ProbeTarget {
    return probeTarget(field, instance, path, { rules: this.#options.rules, local: isLoopback(peer) });
  }

  /** Leases that ended are noticed at their next probe; when all room is taken, at once. */
  #hasRoom(): boolean {
    if (this.#watched.size < MAX_TARGETS) return true;
    for (const watched of this.#watched.values()) if (!this.#options.sink.lease(watched.leaseId)) this.#drop(watched);
    return this.#watched.size < MAX_TARGETS;
  }

  #drop(watched: Watched): void {
    watched.cancel();
    this.#queue.delete(watched);
    if (this.#watched.get(watched.key) !== watched) return;
    this.#watched.delete(watched.key);
    this.#quota.release(watched.registrant, watched.address, this.#options.clock.now());
  }

  #plan(watched: Watched, ms: number): void {
    if (this.#watched.get(watched.key) === watched)
      watched.cancel = this.#options.clock.schedule(ms, () => this.#due(watched));
  }

  /** Waits for the next turn of the address, then for one of the places. */
  #due(watched: Watched): void {
    this.#enter(watched, this.#pace.reserve(watched.address, this.#options.clock.now()));
  }

  #enter(watched: Watched, waitMs: number): void {
    const enter = (): void => {
      this.#queue.add(watched);
      this.#next();
    };
    if (waitMs > 0) watched.cancel = this.#options.clock.schedule(waitMs, enter);
    else enter();
  }

  #next(): void {
    for (let next = this.#queue.take(); next; next = this.#queue.take()) {
      if (!this.#begin(next)) this.#queue.done(next);
    }
  }

  /** Whether it is being probed now. */
  #begin(watched: Watched): boolean {
    const { clock, sink } = this.#options;
    const lease = sink.lease(watched.leaseId);
    if (!lease) this.#drop(watched);
    else if (isAway(lease)) this.#plan(watched, watched.health.intervalMs);
    else {
      const waitMs = this.#pace.take(watched.address, clock.now());
      if (waitMs > 0) this.#enter(watched, waitMs);
      else void this.#run(watched);
      return waitMs === 0;
    }
    return false;
  }

  async #run(watched: Watched): Promise<void> {
    const { clock, probe, random } = this.#options;
    const { intervalMs, timeoutMs } = watched.health;
    const startedAt = clock.now();
    const controller = new AbortController();
    this.#running.add(controller);
    const cancel = clock.schedule(timeoutMs, () => controller.abort());
    const probed = await probe(watched.target, controller.signal).catch(() => undefined);
    cancel();
    this.#running.delete(controller);
    this.#queue.done(watched);
    if (this.#closed) return;
    const pauseMs = intervalMs * (1 - JITTER * random());
    this.#plan(watched, Math.max(0, startedAt + pauseMs - clock.now()));
    if (probed) this.#note(watched, probed, startedAt);
    this.#next();
  }

  /** What was measured while this process stood still says nothing of others. */
  #note(watched: Watched, { seen, latencyMs }: Probed, startedAt: number): void {
    this.#counts.probes++;
    if (seen === "denied") this.#counts.denied++;
    if (seen === "denied" || seen === "unknown") return;
    const { clock, sink } = this.#options;
    const isStalled = clock.stalledAt >= startedAt;
    if (seen === "timed_out" && isStalled) return;
    const passed = seen === "alive";
    if (!passed) this.#counts.failed++;
    const change = watched.verdict.add({ passed, latencyMs: isStalled ? 0 : latencyMs });
    if (change === undefined || this.#watched.get(watched.key) !== watched) return;
    if (sink.lease(watched.leaseId)) sink.observe(watched.leaseId, change);
  }
}

/** Who is not open yet, or about to go, says so itself: its health check is meant to fail then. */
function isAway({ instance: { status } }: Lease): boolean {
  return status === "starting" || status === "draining";
}
