import type { ServiceInstance } from "../model/instance.js";
import type { RemovalReason } from "../model/update.js";

/** What a probe found: somebody accepts connections, nobody does, or neither can be said. */
export type Evidence = "alive" | "refused" | "unknown";

/** When a loss is doubted. */
export interface MassLossOptions {
  /**
   * Share of the usable instances, 0 to 1, above which their loss at once is doubted; the loss of all always is.
   *
   * @default 0.5, Envoy's panic threshold
   */
  readonly share: number;
  /** The share counts from so many usable instances on: two of three may well leave together. @default 4 */
  readonly least: number;
  /** The registry's word counts as repeated when it was asked again so much later, in milliseconds. @default 5_000 */
  readonly confirmMs: number;
}

export const MASS_LOSS: MassLossOptions = { share: 0.5, least: 4, confirmMs: 5_000 };

/** How long a doubted instance stays where the registry names no ttl, in milliseconds: the default ttl. */
const PATIENCE_MS = 30_000;

/** An instance that is kept against the registry's word. Moments are monotonic. */
export interface Doubt {
  /** As the registry last told of it when it was believed. */
  readonly instance: ServiceInstance;
  since: number;
  /** It goes then if nothing was found out. */
  until: number;
  evidence: Evidence | undefined;
  /** The registry, asked anew, has said the same again. */
  confirmed: boolean;
  /** The registry does not name it because it began anew, not because it saw it go: while it warms up that proves nothing. */
  forgot: boolean;
  /** How many could be called before the registry was out of reach, and its lease ended because nobody could renew it, perhaps. */
  readonly before: number | undefined;
}

/** Why a loss is doubted, as far as that matters later. */
export type Ground = Pick<Doubt, "forgot" | "before">;

export function newDoubt(instance: ServiceInstance, { forgot, before }: Ground, now: number): Doubt {
  const until = now + patience(instance);
  return { instance, since: now, until, evidence: undefined, confirmed: false, forgot, before };
}

/** Begins the doubt anew: what was found out before no longer counts. */
export function renewDoubt(doubt: Doubt, now: number): void {
  Object.assign(doubt, newDoubt(doubt.instance, doubt, now));
}

/**
 * Whether an instance leaves on somebody's decision. What a registry merely observes, it observes of everybody at once
 * when the trouble is its own: after a stall of its own, or cut off, it finds all expired and every probe failed.
 */
export function isDecision(reason: RemovalReason | undefined): boolean {
  return reason === "deregistered" || reason === "replaced" || reason === "evicted";
}

/** Whether an instance takes calls as a matter of course; the draining have said goodbye, the others never came. */
export function isUsable({ status }: ServiceInstance): boolean {
  return status === "healthy" || status === "unstable";
}

/** Whether so many may be lost at once without anybody's decision. */
export function isMassLoss(usable: number, lost: number, { share, least }: MassLossOptions): boolean {
  return lost > 0 && (lost >= usable || (usable >= least && lost > usable * share));
}

/**
 * Whether a doubt is over and its instance goes: nobody listens there and the registry has repeated itself; or its time
 * is up. Then only one thing keeps it: it accepts connections, and the registry names nobody else who could be called, or
 * is itself away.
 */
export function isOver(doubt: Doubt, now: number, othersListed: boolean): boolean {
  if (doubt.evidence === "refused" && doubt.confirmed) return true;
  return now >= doubt.until && (othersListed || doubt.evidence !== "alive");
}

/**
 * Whether it is called as before: nothing speaks against it but a registry that could not be reached. That is no reason
 * to send all its calls to whoever got through to the registry first. It is one where as many are listed as before: then
 * others took its place.
 */
export function isSpared({ before = 0, evidence }: Doubt, listed: number): boolean {
  return listed < before && (evidence === undefined || evidence === "alive");
}

/** How long whoever cannot be heard is waited for, in milliseconds. */
export function patience({ ttlMs }: ServiceInstance): number {
  return ttlMs ?? PATIENCE_MS;
}
