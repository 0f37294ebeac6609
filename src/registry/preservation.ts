import type { Random } from "../runtime/clock.js";
import type { HeldInstance } from "./held-instance.js";
import type { SuspectProbes, SuspectVerdict } from "./suspect-probes.js";

/** So many of a service may run out at once: more is rather our own fault. Eureka's 85 %, seen from below. */
const EXPIRING_SHARE = 0.15;
/** What "at once" means, in milliseconds: the default heartbeat interval. Suspects are asked again as often. */
const WINDOW_MS = 10_000;
/** So many ttls after their own ended all suspects go: a guard without an end lists the dead for ever. */
const EXIT_TTLS = 3;

/** What the guard does to its registry. */
export interface Keeper {
  /** How many instances of a service hold a lease. */
  held(service: string): number;
  /** Ends a lease that has run out, unless it ended meanwhile. */
  expire(held: HeldInstance): void;
  /** A lease that has run out is kept. */
  suspect(held: HeldInstance): void;
  preserved(service: string, suspects: number): void;
  released(service: string, returned: number, gone: number): void;
}

interface Suspicion {
  /** When it goes, whatever is found out. */
  readonly until: number;
  askAt: number;
  foundAlive: boolean;
}

interface Guard {
  readonly suspects: Map<HeldInstance, Suspicion>;
  /** How many went without evidence of death, and when; those of the window. */
  ended: readonly { readonly at: number; readonly count: number }[];
  /** Until then everybody may go. */
  openUntil: number;
  returned: number;
  gone: number;
}

/**
 * Keeps a service from being emptied by a fault on the registry's own side: only so many leases may run out in any ten
 * seconds, chosen by chance. The others stay as suspects until they beat, are refused, find room, or have outlasted three
 * more ttls. Whoever is known to be dead or leaving goes at once and is not counted; whoever answers a probe stays to the
 * end. All times are those of the lease table: while the registry stands still nobody goes.
 */
export class Preservation {
  readonly #random: Random;
  readonly #keeper: Keeper;
  readonly #probes: SuspectProbes | undefined;
  readonly #guards = new Map<string, Guard>();

  constructor(random: Random, keeper: Keeper, probes: SuspectProbes | undefined) {
    this.#random = random;
    this.#keeper = keeper;
    this.#probes = probes;
  }

  get suspects(): number {
    let count = 0;
    for (const { suspects } of this.#guards.values()) count += suspects.size;
    return count;
  }

  isSuspect(held: HeldInstance): boolean {
    return this.#guards.get(held.instance.service)?.suspects.has(held) ?? false;
  }

  /** Judges the leases that have just run out, and the suspects of before. */
  judge(due: readonly HeldInstance[], now: number): void {
    const fresh = new Map<string, HeldInstance[]>();
    for (const held of due) {
      const { service } = held.instance;
      if (held.unlisted || held.declared === "draining") this.#keeper.expire(held);
      else if (!fresh.get(service)?.push(held)) fresh.set(service, [held]);
    }
    for (const [service, held] of fresh) this.#admit(service, held, now);
    for (const [service, guard] of this.#guards) this.#review(service, guard, now);
  }

  /** A sign of life, or the end of the lease: it is no suspect any more. */
  clear(held: HeldInstance, returned: boolean): void {
    if (this.#guards.size === 0) return;
    const { service } = held.instance;
    const guard = this.#guards.get(service);
    if (!guard?.suspects.delete(held)) return;
    if (returned) guard.returned++;
    else guard.gone++;
    if (guard.suspects.size > 0) return;
    this.#keeper.released(service, guard.returned, guard.gone);
    guard.returned = guard.gone = 0;
  }

  /** What was found out about a suspect. */
  found(held: HeldInstance, verdict: SuspectVerdict): void {
    const suspicion = this.#guards.get(held.instance.service)?.suspects.get(held);
    if (!suspicion) return;
    suspicion.foundAlive = verdict === "alive";
    if (verdict === "refused") this.#keeper.expire(held);
  }

  /** Lets the suspects of a service go, and for one window everybody whose lease runs out. Returns how many went. */
  release(service: string, now: number): number {
    const guard = this.#guardOf(service);
    guard.openUntil = now + WINDOW_MS;
    const going = [...guard.suspects.keys()];
    for (const held of going) this.#keeper.expire(held);
    return going.length;
  }

  close(): void {
    this.#probes?.close();
  }

  /** Of those that have just run out and the suspects together, some go; the others are suspects. */
  #admit(service: string, fresh: readonly HeldInstance[], now: number): void {
    const guard = this.#guardOf(service);
    const before = guard.suspects.size;
    const going = this.#draw(service, guard, fresh, now);
    for (const held of fresh) {
      if (going.has(held)) continue;
      guard.suspects.set(held, { until: now + EXIT_TTLS * held.ttlMs, askAt: now, foundAlive: false });
      this.#keeper.suspect(held);
    }
    for (const held of going) this.#keeper.expire(held);
    if (before === 0 && guard.suspects.size > 0) this.#keeper.preserved(service, guard.suspects.size);
  }

  #review(service: string, guard: Guard, now: number): void {
    for (const [held, { until }] of guard.suspects) if (until <= now) this.#keeper.expire(held);
    for (const held of this.#draw(service, guard, [], now)) this.#keeper.expire(held);
    for (const [held, suspicion] of guard.suspects) {
      if (suspicion.askAt > now) continue;
      suspicion.askAt = now + WINDOW_MS;
      this.#probes?.ask(held, (verdict) => this.found(held, verdict));
    }
    if (guard.suspects.size + guard.ended.length === 0 && guard.openUntil <= now) this.#guards.delete(service);
  }

  /** Who goes now, as far as there is room. */
  #draw(service: string, guard: Guard, fresh: readonly HeldInstance[], now: number): ReadonlySet<HeldInstance> {
    guard.ended = guard.ended.filter(({ at }) => now - at < WINDOW_MS);
    const lot = [...fresh];
    for (const [held, { foundAlive }] of guard.suspects) if (!foundAlive) lot.push(held);
    const ended = guard.ended.reduce((sum, { count }) => sum + count, 0);
    const room = now < guard.openUntil ? lot.length : expiriesAllowed(this.#keeper.held(service) + ended) - ended;
    const going = drawn(lot, room, this.#random);
    if (going.length > 0) guard.ended = [...guard.ended, { at: now, count: going.length }];
    return new Set(going);
  }

  #guardOf(service: string): Guard {
    let guard = this.#guards.get(service);
    if (!guard) {
      guard = { suspects: new Map(), ended: [], openUntil: 0, returned: 0, gone: 0 };
      this.#guards.set(service, guard);
    }
    return guard;
  }
}

/** How many leases of a service of that size may run out within one window. */
export function expiriesAllowed(size: number): number {
  return Math.max(1, Math.floor(size * EXPIRING_SHARE));
}

/** Some of a lot, by chance. */
function drawn<T>(lot: T[], count: number, random: Random): readonly T[] {
  const taken = Math.max(0, Math.min(count, lot.length));
  for (let index = 0; index < taken; index++) {
    const other = index + Math.floor(random() * (lot.length - index));
    [lot[index], lot[other]] = [lot[other] as T, lot[index] as T];
  }
  return lot.slice(0, taken);
}
