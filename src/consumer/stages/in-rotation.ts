import type { Endpoint } from "../../endpoint/endpoint.js";

/** Below this share of a tier in rotation, ejections are more likely our mistake than theirs (Envoy, Finagle: 50 %). */
const PANIC_SHARE = 0.5;

/** Whoever is left of a tier, and whether ejections are still believed. */
export interface InRotation {
  readonly usable: readonly Endpoint[];
  readonly panic: boolean;
}

/**
 * Those who are not ejected. In panic the failing come back, because whoever is left would drown. The refused do not:
 * where nothing listens, nothing is relieved.
 */
export function inRotation(members: readonly Endpoint[]): InRotation {
  const left = members.filter(({ ejection }) => ejection.cause === undefined);
  if (left.length === members.length) return { usable: members, panic: false };
  if (left.length >= members.length * PANIC_SHARE) return { usable: left, panic: false };
  return { usable: members.filter(({ ejection }) => ejection.cause !== "refused"), panic: true };
}
