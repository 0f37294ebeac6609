import { DiscoveryError } from "../model/errors.js";
import type { InstanceStatus, ServiceInstance } from "../model/instance.js";
import type { Clock } from "../runtime/clock.js";
import { within } from "../runtime/deadline.js";
import { type JointLease, jointLeaseOf, type LeasePart, leaseIdOf } from "./lease-parts.js";
import type { Beat, CallOptions, Deregistration, Lease, RegisterOptions, Registrar, Renewal } from "./registry.js";

/** All registrations of one call are over within this, in milliseconds: an agent gives them 3 s. */
const REGISTER_WITHIN_MS = 2_500;
/** What a beat asks of one registry is over within this, in milliseconds, or within a fifth of the beat interval. */
const PART_WITHIN_MS = 1_000;
const PARTS_OF_INTERVAL = 5; // a beat asks twice at most, and its agent waits for half an interval
/** A registry that did not take an instance in is asked again after this, in milliseconds. */
const ASK_AGAIN_MS = 5_000;
/** An instance that returned to a preferred registry stays with the other for this long, in milliseconds: readers follow later. */
const OVERLAP_MS = 30_000;
/** Refusals of one registry that are meant for all: to go on with the next would put one id in two places. */
const FINAL = new Set(["INVALID_OPTION", "ID_CONFLICT"]);

/** Which registries are to hold an instance: all of them, or the first that works. */
export type Spread = "all" | "first";

/** Holds each instance with several registries, or with the first that works. A beat mends what is amiss. */
export class JointRegistrar {
  readonly #registrars: readonly Registrar[];
  readonly #spread: Spread;
  readonly #clock: Clock;
  readonly #held = new Map<string, JointLease>();

  constructor(registrars: readonly Registrar[], spread: Spread, clock: Clock) {
    this.#registrars = registrars;
    this.#spread = spread;
    this.#clock = clock;
  }

  /** Registers with as many as it should; one that is away does not stop it. */
  async register(instance: ServiceInstance, { ttlMs, health, signal }: RegisterOptions): Promise<Lease> {
    const count = this.#registrars.length;
    const parts: (LeasePart | undefined)[] = new Array(count).fill(undefined);
    const askAgainAt = new Array<number>(count).fill(Number.NEGATIVE_INFINITY);
    const joint: JointLease = { wanted: instance, ttlMs, health, parts, askAgainAt, ended: undefined };
    const failures: unknown[] = [];
    const limitMs = this.#spread === "all" ? REGISTER_WITHIN_MS : REGISTER_WITHIN_MS / count;
    const asked = async (index: number): Promise<void> => {
      const failure = await this.#takeIn(joint, index, limitMs, signal);
      if (failure !== undefined) failures[index] = failure;
    };
    const final = (): unknown => failures.find((each) => DiscoveryError.is(each) && FINAL.has(each.code));
    if (this.#spread === "all") await Promise.all(parts.map((_, index) => asked(index)));
    else for (let index = 0; index < count && !parts.some(Boolean) && !final(); index++) await asked(index);
    signal.throwIfAborted();
    if (final()) await this.#leave(joint, limitMs, signal);
    const granted = parts.filter((part) => part !== undefined);
    if (final() || !granted[0]) throw final() ?? failures.find((each) => each !== undefined);
    const id = leaseIdOf(parts);
    this.#held.set(id, joint);
    return {
      id,
      instance: granted[0].lease.instance,
      ttlMs: Math.min(...granted.map(({ lease }) => lease.ttlMs)),
      heartbeatMs: Math.min(...granted.map(({ lease }) => lease.heartbeatMs)),
      replaced: granted.some(({ lease }) => lease.replaced),
    };
  }

  /** Beats for all parts, and takes up again what a registry forgot, missed or was away for. */
  async renew(beats: readonly Beat[], { signal }: CallOptions): Promise<Renewal> {
    const limitMs = limitOf(beats);
    const leases = beats.map(({ lease }) => this.#jointOf(lease));
    const statuses = new Map<string, InstanceStatus>();
    const answers = await Promise.all(
      this.#registrars.map((_, index) => this.#beat(index, beats, leases, statuses, limitMs, signal)),
    );
    signal.throwIfAborted();
    const away = answers.map((answer) => answer !== undefined);
    await Promise.all(leases.map((joint) => this.#mend(joint, away, limitMs, signal)));
    signal.throwIfAborted();
    const unknown: Renewal["unknown"][number][] = [];
    for (const [index, joint] of leases.entries()) {
      const { lease } = beats[index] as Beat;
      if (joint.ended === undefined && joint.parts.some(Boolean)) continue;
      this.#held.delete(lease.id);
      unknown.push({ lease, reason: joint.ended });
    }
    const failure = answers.find((answer) => answer !== undefined);
    const isHeard =
      unknown.length > 0 || leases.some(({ parts }) => parts.some((part) => part?.steadySince !== undefined));
    if (failure !== undefined && !isHeard) throw failure;
    const heartbeatMs = Math.min(
      ...leases.flatMap(({ parts }) => parts.map((part) => part?.lease.heartbeatMs ?? Infinity)),
    );
    return { unknown, statuses, ...(Number.isFinite(heartbeatMs) ? { heartbeatMs } : {}) };
  }

  /** Tells all that hold it; those that cannot be told now are told with a later beat. */
  async update(lease: Lease, instance: ServiceInstance, { signal }: CallOptions): Promise<Lease> {
    const joint = this.#jointOf(lease);
    const failures = await Promise.all(
      joint.parts.map((_, index) => this.#tell(joint, index, instance, REGISTER_WITHIN_MS, signal)),
    );
    signal.throwIfAborted();
    const told = joint.parts.find((part) => part?.told === instance);
    if (!told) throw failures.find((each) => each !== undefined) ?? this.#lost(instance);
    joint.wanted = instance;
    return { ...lease, instance: told.lease.instance };
  }

  /** Leaves all that hold it. One that is away lets the lease run out. */
  async deregister(
    lease: Lease,
    { waitMs, signal }: CallOptions & { readonly waitMs?: number | undefined },
  ): Promise<Deregistration> {
    const joint = this.#jointOf(lease);
    this.#held.delete(lease.id);
    joint.hasLeft = true;
    const limitMs = PART_WITHIN_MS + (waitMs ?? 0);
    const leaving = joint.parts.flatMap((part, index) =>
      part
        ? [
            this.#within("deregistration", index, limitMs, signal, (r, inner) =>
              r.deregister(part.lease, { signal: inner, waitMs }),
            ),
          ]
        : [],
    );
    const ended = await Promise.allSettled(leaving);
    const done = ended.filter((each) => each.status === "fulfilled").map(({ value }) => value);
    const [failed] = ended.filter((each) => each.status === "rejected");
    if (failed && done.length === 0) throw failed.reason;
    const sum = (field: "acked" | "waiting"): number => done.reduce((total, each) => total + (each?.[field] ?? 0), 0);
    return done.some((each) => each?.acked !== undefined) ? { acked: sum("acked"), waiting: sum("waiting") } : {};
  }

  #jointOf(lease: Lease): JointLease {
    const known = this.#held.get(lease.id);
    if (known) return known;
    const joint = jointLeaseOf(lease, this.#registrars.length, this.#clock.now());
    this.#held.set(lease.id, joint);
    return joint;
  }

  /** Undefined if that registry holds it now, else why not. */
  async #takeIn(joint: JointLease, index: number, limitMs: number, signal: AbortSignal): Promise<unknown> {
    const { wanted, ttlMs, health } = joint;
    const sentAt = this.#clock.now();
    try {
      const lease = await this.#within("registration", index, limitMs, signal, (registrar, signal) =>
        registrar.register(wanted, { ttlMs, health, signal }),
      );
      joint.parts[index] = { lease, told: wanted, answeredAt: sentAt, steadySince: sentAt };
      return undefined;
    } catch (failure) {
      joint.askAgainAt[index] = this.#clock.now() + ASK_AGAIN_MS;
      return failure ?? new DiscoveryError("UNAVAILABLE", "A registration failed");
    }
  }

  /** Undefined if that registry answered or was not asked, else what it failed with. */
  async #beat(
    index: number,
    beats: readonly Beat[],
    leases: readonly JointLease[],
    statuses: Map<string, InstanceStatus>,
    limitMs: number,
    signal: AbortSignal,
  ): Promise<unknown> {
    const held = leases.flatMap((joint, at) => {
      const part = joint.parts[index];
      return part ? [{ joint, part, beat: beats[at] as Beat }] : [];
    });
    if (held.length === 0) return undefined;
    const inner = held.map(({ part, beat }) => ({ ...beat, lease: part.lease }));
    const sentAt = this.#clock.now();
    try {
      const renewal = await this.#within("heartbeat", index, limitMs, signal, (registrar, signal) =>
        registrar.renew(inner, { signal }),
      );
      const unknown = new Map(renewal.unknown.map(({ lease, reason }) => [lease.id, reason ?? "unknown"]));
      for (const { joint, part, beat } of held) {
        const { epoch } = part.lease;
        const forgot = epoch !== undefined && renewal.epoch !== undefined && renewal.epoch !== epoch;
        const reason = unknown.get(part.lease.id) ?? (forgot ? "the registry began anew" : undefined);
        if (reason !== undefined) endPart(joint, index, reason);
        else joint.parts[index] = { ...part, answeredAt: sentAt, steadySince: part.steadySince ?? sentAt };
        const status = renewal.statuses?.get(part.lease.id);
        if (status !== undefined && !statuses.has(beat.lease.id)) statuses.set(beat.lease.id, status);
      }
      return undefined;
    } catch (failure) {
      const now = this.#clock.now();
      for (const { joint, part } of held) {
        const isOver = now - part.answeredAt >= part.lease.ttlMs;
        joint.parts[index] = isOver ? undefined : { ...part, steadySince: undefined };
      }
      return failure ?? new DiscoveryError("UNAVAILABLE", "A heartbeat failed");
    }
  }

  /** Brings about what should be: everyone who should hold it does, and has been told the latest. */
  async #mend(joint: JointLease, away: readonly boolean[], limitMs: number, signal: AbortSignal): Promise<void> {
    const isHeld = joint.parts.some(Boolean);
    if (joint.hasLeft || joint.ended === "replaced" || !isHeld) return; // its agent decides whether to come again
    joint.ended = undefined;
    const now = this.#clock.now();
    const one = async (index: number): Promise<void> => {
      const part = joint.parts[index];
      if (part?.steadySince !== undefined && part.told !== undefined && part.told !== joint.wanted)
        await this.#tell(joint, index, joint.wanted, limitMs, signal);
      const mayAsk = !part && !away[index] && now >= (joint.askAgainAt[index] ?? 0);
      if (mayAsk) await this.#takeIn(joint, index, limitMs, signal);
    };
    if (this.#spread === "all") await Promise.all(joint.parts.map((_, index) => one(index)));
    else
      for (let index = 0; index < joint.parts.length; index++) {
        await one(index);
        const since = joint.parts[index]?.steadySince;
        if (since === undefined) continue;
        if (now - since >= OVERLAP_MS) await this.#leave(joint, limitMs, signal, index + 1);
        return;
      }
  }

  async #tell(
    joint: JointLease,
    index: number,
    instance: ServiceInstance,
    limitMs: number,
    signal: AbortSignal,
  ): Promise<unknown> {
    const part = joint.parts[index];
    if (!part) return undefined;
    try {
      const lease = await this.#within("update", index, limitMs, signal, (registrar, signal) =>
        registrar.update(part.lease, instance, { signal }),
      );
      joint.parts[index] = { ...part, lease, told: instance };
      return undefined;
    } catch (failure) {
      if (DiscoveryError.is(failure, "LEASE_LOST")) joint.parts[index] = undefined;
      return failure;
    }
  }

  /** Leaves the registries from the given one on; what fails is left to run out. */
  async #leave(joint: JointLease, limitMs: number, signal: AbortSignal, from = 0): Promise<void> {
    const leaving = joint.parts.map(async (part, index) => {
      if (!part || index < from) return;
      joint.parts[index] = undefined;
      await this.#within("deregistration", index, limitMs, signal, (registrar, signal) =>
        registrar.deregister(part.lease, { signal }),
      );
    });
    await Promise.allSettled(leaving);
  }

  #within<T>(
    what: string,
    index: number,
    limitMs: number,
    signal: AbortSignal,
    task: (registrar: Registrar, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const registrar = this.#registrars[index] as Registrar;
    return within(`${what} with ${registrar.name}`, limitMs, { clock: this.#clock, signal }, (inner) =>
      task(registrar, inner),
    );
  }

  #lost({ id }: ServiceInstance): DiscoveryError {
    return new DiscoveryError("LEASE_LOST", `No registry of ${this.#registrars.length} knows ${id} any more`);
  }
}

function endPart(joint: JointLease, index: number, reason: string): void {
  joint.parts[index] = undefined;
  joint.askAgainAt[index] = Number.NEGATIVE_INFINITY;
  if (joint.ended !== "replaced") joint.ended = reason;
}

function limitOf(beats: readonly Beat[]): number {
  const intervals = beats.map(({ lease }) => lease.heartbeatMs / PARTS_OF_INTERVAL);
  return Math.min(PART_WITHIN_MS, ...intervals);
}
