import type { Endpoint } from "../endpoint/endpoint.js";

/** The best kind of endpoint that is there; a worse one is picked only when no better is left. */
export type Tier = "healthy" | "unstable" | "draining" | "failed";

/** Who may be picked now, and how that came about. */
export interface Eligible {
  /** In the order of their ids. Never changed afterwards. */
  readonly usable: readonly Endpoint[];
  readonly tier: Tier | undefined;
  /** True when so many are ejected that ejections are no longer believed. */
  readonly panic: boolean;
}

const TIERS: readonly Tier[] = ["healthy", "unstable", "draining", "failed"];
/** Below this share of a tier in rotation, ejections are more likely our mistake than theirs (Envoy, Finagle: 50 %). */
const PANIC_SHARE = 0.5;
const NOBODY: Eligible = { usable: Object.freeze([]), tier: undefined, panic: false };

/**
 * From all endpoints to the usable ones: the best tier in which anybody may be alive, without the ejected.
 *
 * In panic the failing come back, because whoever is left would drown. The refused do not: where nothing listens,
 * nothing is relieved. Only when nobody else is left anywhere are they tried again.
 */
export function eligible(all: readonly Endpoint[]): Eligible {
  let last: Eligible = NOBODY;
  for (const tier of TIERS) {
    const members = all.filter((endpoint) => tierOf(endpoint) === tier);
    if (members.length === 0) continue;
    const inRotation = members.filter(({ ejection }) => ejection.cause === undefined);
    if (inRotation.length === members.length) return { usable: members, tier, panic: false };
    const panic = inRotation.length < members.length * PANIC_SHARE;
    const usable = panic ? members.filter(({ ejection }) => ejection.cause !== "refused") : inRotation;
    if (usable.length > 0) return { usable, tier, panic };
    if (last.tier === undefined) last = { usable: members, tier, panic: true };
  }
  return last;
}

/** Which tier an endpoint is in; undefined while it is starting: it is never picked. */
export function tierOf({ instance, suspect }: Endpoint): Tier | undefined {
  switch (instance.status) {
    case "healthy":
      return suspect ? "unstable" : "healthy";
    case "unstable":
    case "draining":
    case "failed":
      return instance.status;
    case "starting":
      return undefined;
  }
}
