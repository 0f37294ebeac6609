import { DiscoveryError } from "../model/errors.js";
import type { InstanceStatus, ServiceInstance } from "../model/instance.js";
import type { Clock } from "../runtime/clock.js";
import { type JointLease, jointLeaseOf, leaseIdOf } from "./lease-parts.js";
import { PartCalls, type PartLimits } from "./part-calls.js";
import { Recent } from "./recent.js";
import type {
  Beat,
  CallOptions,
  Deregistration,
  Edition,
  Lease,
  RegisterOptions,
  Registrar,
  Renewal,
} from "./registry.js";

/** All registrations of one call are over within this, in milliseconds: an agent gives them 3 s. */
const REGISTER_WITHIN_MS = 2_500;
/** What a beat asks of one registry is over within this, in milliseconds, or within a fifth of the beat interval. */
const PART_WITHIN_MS = 1_000;
const PARTS_OF_INTERVAL = 5; // a beat asks twice at most, and its agent waits for half an interval
/** An instance that returned to a preferred registry stays with the other for this long, in milliseconds: readers follow later. */
const OVERLAP_MS = 30_000;
/** Refusals of one registry that are meant for all: to go on with the next would put one id in two places. */
const FINAL = new Set(["INVALID_OPTION", "ID_CONFLICT"]);
/** Holders that have left are remembered in this number, as in a registry's memory: late, they do not come back. */
const LEFT = 10_000;

/** Which registries are to hold an instance: all of them, or the first that works. */
export type Spread = "all" | "first";

/** Holds each instance with several registries, or with the first that works. A beat mends what is amiss. */
export class JointRegistrar {
  readonly #count: number;
  readonly #calls: PartCalls;
  readonly #spread: Spread;
  readonly #clock: Clock;
  readonly #held = new Map<string, JointLease>();
  readonly #left = new Recent<true>(LEFT);

  constructor(registrars: readonly Registrar[], spread: Spread, clock: Clock) {
    this.#count = registrars.length;
    this.#calls = new PartCalls(registrars, clock);
    this.#spread = spread;
    this.#clock = clock;
  }

  /** Registers with as many as it should; one that is away does not stop it. */
  async register(instance: ServiceInstance, { signal, edition, ...terms }: RegisterOptions): Promise<Lease> {
    const late = this.#whyLate(instance, terms.holder);
    if (late) throw late;
    const parts = new Array(this.#count).fill(undefined);
    const askAgainAt = new Array(this.#count).fill(Number.NEGATIVE_INFINITY);
    const joint: JointLease = { wanted: instance, edition, terms, parts, askAgainAt, ended: undefined };
    const limitMs = this.#spread === "all" ? REGISTER_WITHIN_MS : REGISTER_WITHIN_MS / this.#count;
    const failures = await this.#enter(joint, { limitMs, signal });
    signal.throwIfAborted();
    const final = failures.find(isFinal) ?? this.#whyLate(instance, terms.holder); // it may have left meanwhile
    if (final) await this.#calls.withdraw(joint, 0, { limitMs, signal });
    const granted = joint.parts.filter((part) => part !== undefined);
    if (final || !granted[0]) throw final ?? failures.find((each) => each !== undefined);
    const id = leaseIdOf(joint.parts);
    const known = this.#held.get(id);
    if (!known || !isOlder(edition, known)) this.#held.set(id, joint); // it may have come late
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
    const limits = { limitMs: limitOf(beats), signal };
    const held = beats.map((beat) => ({ joint: this.#jointOf(beat.lease), beat }));
    const statuses = new Map<string, InstanceStatus>();
    const indexes = Array.from({ length: this.#count }, (_, index) => index);
    const answers = await Promise.all(indexes.map((index) => this.#calls.beat(index, held, statuses, limits)));
    signal.throwIfAborted();
    const away = answers.map((answer) => answer !== undefined);
    await Promise.all(held.map(({ joint }) => this.#mend(joint, away, limits)));
    signal.throwIfAborted();
    const unknown: Renewal["unknown"][number][] = [];
    for (const { joint, beat } of held) {
      if (joint.ended === undefined && joint.parts.some(Boolean)) continue;
      this.#held.delete(beat.lease.id);
      unknown.push({ lease: beat.lease, reason: joint.ended });
    }
    const failure = answers.find((answer) => answer !== undefined);
    const parts = held.flatMap(({ joint }) => joint.parts);
    const isHeard = unknown.length > 0 || parts.some((part) => part?.steadySince !== undefined);
    if (failure !== undefined && !isHeard) throw failure;
    const heartbeatMs = Math.min(...parts.map((part) => part?.lease.heartbeatMs ?? Infinity));
    return { unknown, statuses, ...(Number.isFinite(heartbeatMs) ? { heartbeatMs } : {}) };
  }

  /** Tells all that hold it; those that cannot be told now are told with a later beat. */
  async update(lease: Lease, instance: ServiceInstance, { edition, signal }: CallOptions & Edition): Promise<Lease> {
    const joint = this.#jointOf(lease);
    if (isOlder(edition, joint)) return { ...lease, instance: joint.wanted };
    const limits = { limitMs: REGISTER_WITHIN_MS, signal };
    const telling = joint.parts.map((_, index) => this.#calls.tell(joint, index, instance, edition, limits));
    const failures = await Promise.all(telling);
    signal.throwIfAborted();
    const told = joint.parts.find((part) => part?.told === instance);
    if (!told) throw failures.find((each) => each !== undefined) ?? this.#lost(instance);
    if (!isOlder(edition, joint)) {
      joint.wanted = instance;
      joint.edition = edition ?? joint.edition;
    }
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
    if (joint.terms.holder !== undefined) this.#left.set(joint.terms.holder, true);
    const limits = { limitMs: PART_WITHIN_MS + (waitMs ?? 0), signal };
    const leaving = joint.parts.flatMap((part, index) =>
      part ? [this.#calls.leave(part, index, waitMs, limits)] : [],
    );
    const ended = await Promise.allSettled(leaving);
    const done = ended.filter((each) => each.status === "fulfilled").map(({ value }) => value);
    const [failed] = ended.filter((each) => each.status === "rejected");
    if (failed && done.length === 0) throw failed.reason;
    const sum = (field: "acked" | "waiting"): number => done.reduce((total, each) => total + (each?.[field] ?? 0), 0);
    return done.some((each) => each?.acked !== undefined) ? { acked: sum("acked"), waiting: sum("waiting") } : {};
  }

  /** Asks all of them, or one after the other until one takes it in; why each did not. */
  async #enter(joint: JointLease, limits: PartLimits): Promise<readonly unknown[]> {
    if (this.#spread === "all") {
      return Promise.all(joint.parts.map((_, index) => this.#calls.takeIn(joint, index, limits)));
    }
    const failures: unknown[] = [];
    for (let index = 0; index < this.#count && !joint.parts.some(Boolean) && !failures.some(isFinal); index++) {
      failures.push(await this.#calls.takeIn(joint, index, limits));
    }
    return failures;
  }

  /** Brings about what should be: everyone who should hold it does, and has been told the latest. */
  async #mend(joint: JointLease, away: readonly boolean[], limits: PartLimits): Promise<void> {
    const isHeld = joint.parts.some(Boolean);
    if (joint.hasLeft || joint.ended === "replaced" || !isHeld) return; // its agent decides whether to come again
    joint.ended = undefined;
    const now = this.#clock.now();
    const one = async (index: number): Promise<void> => {
      const part = joint.parts[index];
      if (part?.steadySince !== undefined && part.told !== undefined && part.told !== joint.wanted)
        await this.#calls.tell(joint, index, joint.wanted, joint.edition, limits);
      const mayAsk = !part && !away[index] && now >= (joint.askAgainAt[index] ?? 0);
      if (mayAsk) await this.#calls.takeIn(joint, index, limits);
    };
    if (this.#spread === "all") await Promise.all(joint.parts.map((_, index) => one(index)));
    else
      for (let index = 0; index < joint.parts.length; index++) {
        await one(index);
        const since = joint.parts[index]?.steadySince;
        if (since === undefined) continue;
        if (now - since >= OVERLAP_MS) await this.#calls.withdraw(joint, index + 1, limits);
        return;
      }
  }

  #jointOf(lease: Lease): JointLease {
    const known = this.#held.get(lease.id);
    if (known) return known;
    const joint = jointLeaseOf(lease, this.#count, this.#clock.now());
    this.#held.set(lease.id, joint);
    return joint;
  }

  /** Why somebody is not taken in by any registry, also by one that did not hear the goodbye. */
  #whyLate({ id, service }: ServiceInstance, holder: string | undefined): DiscoveryError | undefined {
    if (holder === undefined || !this.#left.get(holder)) return undefined;
    return new DiscoveryError("REJECTED", `${id} has left: it came late`, { service });
  }

  #lost({ id }: ServiceInstance): DiscoveryError {
    return new DiscoveryError("LEASE_LOST", `No registry of ${this.#count} knows ${id} any more`);
  }
}

function isFinal(failure: unknown): boolean {
  return DiscoveryError.is(failure) && FINAL.has(failure.code);
}

/** Whether something newer is known already. */
function isOlder(edition: number | undefined, { edition: known }: JointLease): boolean {
  return edition !== undefined && known !== undefined && edition < known;
}

function limitOf(beats: readonly Beat[]): number {
  const intervals = beats.map(({ lease }) => lease.heartbeatMs / PARTS_OF_INTERVAL);
  return Math.min(PART_WITHIN_MS, ...intervals);
}
