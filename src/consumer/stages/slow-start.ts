import type { Endpoint } from "../../endpoint/endpoint.js";

/** A newcomer begins with this share of its weight (Envoy: 10 %), and gains evenly from there (aggression 1). */
const MIN_SHARE = 0.1;
/** In how many steps it gets there: weights change by a timer, never at a pick. */
export const RAMP_STEPS = 10;

/** When a ramp is looked at. Monotonic milliseconds. */
export interface RampMoment {
  readonly now: number;
  /** When the first list came: whoever was on it is no newcomer. */
  readonly firstAt: number;
}

/**
 * By what a newcomer's weight is multiplied while it warms up; undefined if nobody does. Where more than half are new
 * nobody is held back: there is nobody to spare them.
 */
export function ramp(
  members: readonly Endpoint[],
  slowStartMs: number,
  { now, firstAt }: RampMoment,
): ((endpoint: Endpoint) => number) | undefined {
  if (slowStartMs === 0) return undefined;
  const isNew = ({ addedAt }: Endpoint): boolean => addedAt > firstAt && now - addedAt < slowStartMs;
  const newcomers = members.filter(isNew).length;
  if (newcomers === 0 || newcomers > members.length / 2) return undefined;
  return (endpoint) => (isNew(endpoint) ? Math.max(MIN_SHARE, (now - endpoint.addedAt) / slowStartMs) : 1);
}

/** Whether anybody will still be warming up at this moment, held back or not: then another look is due. */
export function anyNew(members: readonly Endpoint[], slowStartMs: number, { now, firstAt }: RampMoment): boolean {
  return slowStartMs > 0 && members.some(({ addedAt }) => addedAt > firstAt && now - addedAt < slowStartMs);
}
