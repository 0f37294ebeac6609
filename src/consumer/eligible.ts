import type { Endpoint } from "../endpoint/endpoint.js";
import type { Routing } from "./routing.js";
import { inRotation } from "./stages/in-rotation.js";
import { anyNew, type RampMoment, ramp } from "./stages/slow-start.js";
import { splitWeights } from "./stages/split.js";
import { subsetOf } from "./stages/subset.js";
import { TIERS, type Tier, tierOf } from "./stages/tier.js";
import { isLocal, type Zoned, zoned } from "./stages/zone.js";

/** Who may be picked now, and how that came about. */
export interface Eligible {
  /** In the order of their ids. Never changed afterwards. */
  readonly usable: readonly Endpoint[];
  /** What each of them counts, in the same order; undefined if that is its own weight. */
  readonly weights: readonly number[] | undefined;
  readonly tier: Tier | undefined;
  /** True when so many are ejected that ejections are no longer believed. */
  readonly panic: boolean;
  /** True while a newcomer warms up: the weights are then good for a while only. */
  readonly ramping: boolean;
}

/** What is true of the consumer at the moment of the choice. */
export interface Moment extends RampMoment {
  /** This process's own, so that processes draw different subsets. */
  readonly seed: number;
}

/** Told of each endpoint that is left out, and why; only explanations want to know. */
export type Note = (endpoint: Endpoint, stage: string, why: string) => void;

export const NOBODY: Eligible = {
  usable: Object.freeze([]),
  weights: undefined,
  tier: undefined,
  panic: false,
  ramping: false,
};

/**
 * From all endpoints to the usable ones, stage by stage: filters → the best tier in which anybody may be alive →
 * subset → zone → ejection with panic → weights by slow start and split.
 *
 * Where a whole tier refuses, a worse one is better. Only when nobody else is left anywhere are the refused tried again.
 */
export function eligible(all: readonly Endpoint[], routing: Routing, moment: Moment, note?: Note): Eligible {
  const pool = matching(all, routing, note);
  let last: Eligible = NOBODY;
  for (const tier of TIERS) {
    const members = pool.filter((endpoint) => tierOf(endpoint) === tier);
    if (members.length === 0) continue;
    const alive = members.filter(({ ejection }) => ejection.cause !== "refused");
    const lot = alive.length > 0 ? alive : members;
    const drawn = routing.subset === undefined ? members : subsetOf(lot, routing.subset, moment.seed);
    leftOut(members, drawn, "subset", `not among the ${routing.subset} this process draws`, note);
    const near = nearby(drawn, members, pool, routing.zone);
    leftOut(drawn, near.members, "zone", `zone ${routing.zone} can carry it alone`, note);
    const { usable, panic } = inRotation(near.members);
    leftOut(near.members, usable, "ejected", "", note);
    if (usable.length > 0) return weighed(usable, near, { tier, panic }, routing, moment);
    if (last.tier === undefined) last = weighed(near.members, near, { tier, panic: true }, routing, moment);
  }
  return last;
}

/** Gives each endpoint what it counts. */
export function weigh(all: readonly Endpoint[], { usable, weights }: Eligible): void {
  for (const endpoint of all) endpoint.weight = endpoint.instance.weight;
  if (weights) for (const [index, endpoint] of usable.entries()) endpoint.weight = weights[index] as number;
}

/** Those who pass every filter. */
function matching(all: readonly Endpoint[], { filters }: Routing, note: Note | undefined): readonly Endpoint[] {
  let pool = all;
  for (const { stage, wants, keeps } of filters) {
    const kept = pool.filter(({ instance }) => keeps(instance));
    leftOut(pool, kept, stage, `is not of ${wants}`, note);
    pool = kept;
  }
  return pool;
}

function nearby(
  drawn: readonly Endpoint[],
  tier: readonly Endpoint[],
  pool: readonly Endpoint[],
  zone: string | undefined,
): Zoned {
  if (zone === undefined) return { members: drawn, factorOf: () => 1 };
  const local = (members: readonly Endpoint[]): number => members.filter((member) => isLocal(member, zone)).length;
  const ready = pool.filter((endpoint) => tierOf(endpoint) !== undefined); // who starts was never capacity
  return zoned(drawn, zone, local(tier) / Math.max(1, local(ready)));
}

function weighed(
  usable: readonly Endpoint[],
  near: Zoned,
  stands: Pick<Eligible, "tier" | "panic">,
  { zone, split, slowStartMs }: Routing,
  moment: Moment,
): Eligible {
  const rampOf = ramp(usable, slowStartMs, moment);
  const ramping = anyNew(usable, slowStartMs, moment);
  if (zone === undefined && split === undefined && !rampOf) return { usable, weights: undefined, ...stands, ramping };
  const own = usable.map((one) => one.instance.weight * near.factorOf(one) * (rampOf?.(one) ?? 1));
  return { usable, weights: split ? splitWeights(usable, own, split) : own, ...stands, ramping };
}

function leftOut(
  before: readonly Endpoint[],
  after: readonly Endpoint[],
  stage: string,
  why: string,
  note: Note | undefined,
): void {
  if (!note || before === after) return;
  const kept = new Set(after);
  for (const endpoint of before) if (!kept.has(endpoint)) note(endpoint, stage, why);
}
