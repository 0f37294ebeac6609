import { DiscoveryError } from "../model/errors.js";
import type { InstanceStatus, ServiceInstance } from "../model/instance.js";
import type { Clock } from "../runtime/clock.js";
import { within } from "../runtime/deadline.js";
import type { JointLease, LeasePart } from "./lease-parts.js";
import { Recent } from "./recent.js";
import type { Beat, Deregistration, Registrar } from "./registry.js";

/** A registry that did not take an instance in is asked again after this, in milliseconds. */
const ASK_AGAIN_MS = 5_000;
/** Holders that left a registry and may come again: as many as the memory behind it remembers. */
const HOLDERS = 10_000;

/** How long a call may take, and what ends it. */
export interface PartLimits {
  readonly limitMs: number;
  readonly signal: AbortSignal;
}

/** A lease that several registries hold, and the beat that came for it. */
export interface JointBeat {
  readonly joint: JointLease;
  readonly beat: Beat;
}

/** Asks one of several registries at a time about its part of a lease, and notes in the lease what came of it. */
export class PartCalls {
  readonly #registrars: readonly Registrar[];
  readonly #clock: Clock;
  /** How often a holder has left a registry that may have to take it in again. */
  readonly #departures = new Recent<number>(HOLDERS);

  constructor(registrars: readonly Registrar[], clock: Clock) {
    this.#registrars = registrars;
    this.#clock = clock;
  }

  /** Undefined if that registry holds it now, else why not. */
  async takeIn(joint: JointLease, index: number, limits: PartLimits): Promise<unknown> {
    const { wanted, edition, terms } = joint;
    const holder = this.#holderAt(index, terms.holder);
    const sentAt = this.#clock.now();
    try {
      const lease = await this.#within("registration", index, limits, (registrar, signal) =>
        registrar.register(wanted, { ...terms, holder, edition, signal }),
      );
      const part = { lease, told: wanted, answeredAt: sentAt, steadySince: sentAt };
      const isLate = joint.hasLeft; // it said goodbye meanwhile, and not here
      if (isLate) await this.leave(part, index, undefined, limits);
      else joint.parts[index] = part;
      return undefined;
    } catch (failure) {
      joint.askAgainAt[index] = this.#clock.now() + ASK_AGAIN_MS;
      return failure ?? new DiscoveryError("UNAVAILABLE", "A registration failed");
    }
  }

  /**
   * Undefined if that registry answered or was not asked, else what it failed with.
   *
   * @param statuses takes what it publishes of the instances, by the id of the joint lease
   */
  async beat(
    index: number,
    beats: readonly JointBeat[],
    statuses: Map<string, InstanceStatus>,
    limits: PartLimits,
  ): Promise<unknown> {
    const held = beats.flatMap(({ joint, beat }) => {
      const part = joint.parts[index];
      return part ? [{ joint, part, beat }] : [];
    });
    if (held.length === 0) return undefined;
    const inner = held.map(({ part, beat }) => ({ ...beat, lease: part.lease }));
    const sentAt = this.#clock.now();
    try {
      const renewal = await this.#within("heartbeat", index, limits, (registrar, signal) =>
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

  /** Undefined if that registry was told or does not hold it, else what it failed with. */
  async tell(
    joint: JointLease,
    index: number,
    instance: ServiceInstance,
    edition: number | undefined,
    limits: PartLimits,
  ): Promise<unknown> {
    const part = joint.parts[index];
    if (!part) return undefined;
    try {
      const lease = await this.#within("update", index, limits, (registrar, signal) =>
        registrar.update(part.lease, instance, { edition, signal }),
      );
      joint.parts[index] = { ...part, lease, told: instance };
      return undefined;
    } catch (failure) {
      if (DiscoveryError.is(failure, "LEASE_LOST")) joint.parts[index] = undefined;
      return failure;
    }
  }

  /** Says goodbye for good. */
  leave(part: LeasePart, index: number, waitMs: number | undefined, limits: PartLimits): Promise<Deregistration> {
    return this.#within("deregistration", index, limits, (registrar, signal) =>
      registrar.deregister(part.lease, { signal, waitMs }),
    );
  }

  /** Leaves the registries from the given one on, to come again some day; what fails is left to run out. */
  async withdraw(joint: JointLease, from: number, limits: PartLimits): Promise<void> {
    const leaving = joint.parts.map(async (part, index) => {
      if (!part || index < from) return;
      joint.parts[index] = undefined;
      this.#departed(index, joint.terms.holder);
      await this.leave(part, index, undefined, limits);
    });
    await Promise.allSettled(leaving);
  }

  /** Who it is to that registry: whoever has left under one name is taken in again only under another. */
  #holderAt(index: number, holder: string | undefined): string | undefined {
    const departures = holder && this.#departures.get(`${index} ${holder}`);
    return departures ? `${holder}.${departures}` : holder;
  }

  #departed(index: number, holder: string | undefined): void {
    if (holder === undefined) return;
    const key = `${index} ${holder}`;
    this.#departures.set(key, (this.#departures.get(key) ?? 0) + 1);
  }

  #within<T>(
    what: string,
    index: number,
    { limitMs, signal }: PartLimits,
    task: (registrar: Registrar, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const registrar = this.#registrars[index] as Registrar;
    return within(`${what} with ${registrar.name}`, limitMs, { clock: this.#clock, signal }, (inner) =>
      task(registrar, inner),
    );
  }
}

function endPart(joint: JointLease, index: number, reason: string): void {
  joint.parts[index] = undefined;
  joint.askAgainAt[index] = Number.NEGATIVE_INFINITY;
  if (joint.ended !== "replaced") joint.ended = reason;
}
