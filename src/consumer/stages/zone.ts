import type { Endpoint } from "../../endpoint/endpoint.js";
import { labelOf } from "./label.js";

/** Below this share of the zone's own instances in rotation, part of the traffic goes elsewhere. */
const LOCAL_SHARE = 0.5;
/** Fewer than this many in rotation are no capacity to rely on. */
const LOCAL_COUNT = 2;

/** Who stays, and by what the weights of those near and far are multiplied. */
export interface Zoned {
  readonly members: readonly Endpoint[];
  factorOf(endpoint: Endpoint): number;
}

/** Whether an endpoint is in the consumer's own zone. */
export function isLocal({ instance }: Endpoint, zone: string): boolean {
  return labelOf(instance, "zone") === zone;
}

/**
 * Keeps traffic in the consumer's own zone while that can carry it; as capacity is lost there, as much of the traffic
 * goes elsewhere, never all at once.
 *
 * @param listed share of the zone's instances that are among `members` at all, 0 to 1: the rest are in a worse tier
 */
export function zoned(members: readonly Endpoint[], zone: string, listed: number): Zoned {
  const local = members.filter((member) => isLocal(member, zone));
  if (local.length === 0 || local.length === members.length) return { members, factorOf: () => 1 };
  const alive = local.filter(canServe);
  const healthy = (alive.length / local.length) * listed;
  const stays = Math.min(1, healthy / LOCAL_SHARE, alive.length / LOCAL_COUNT);
  const near = weightOf(alive);
  const far = weightOf(members.filter((member) => canServe(member) && !isLocal(member, zone)));
  if (far > 0 && stays >= 1) return { members: local, factorOf: () => 1 };
  if (far === 0 || near === 0) return { members, factorOf: () => 1 };
  const nearFactor = (stays * (near + far)) / near;
  const farFactor = ((1 - stays) * (near + far)) / far;
  return { members, factorOf: (member) => (isLocal(member, zone) ? nearFactor : farFactor) };
}

function canServe({ ejection, instance }: Endpoint): boolean {
  return ejection.cause === undefined && instance.weight > 0;
}

function weightOf(members: readonly Endpoint[]): number {
  return members.reduce((sum, { instance }) => sum + instance.weight, 0);
}
