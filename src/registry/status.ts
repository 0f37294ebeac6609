import type { DeclaredStatus, InstanceStatus } from "../model/instance.js";

/** What a registry sees of an instance, by its beats or by probes. */
export type ObservedStatus = "healthy" | "unstable" | "failed";

/** Beats in time after which an instance that was late is healthy again. */
export const GOOD_BEATS = 3;

const RANK: Readonly<Record<Exclude<InstanceStatus, "starting">, number>> = {
  healthy: 0,
  unstable: 1,
  draining: 2,
  failed: 3,
};

/**
 * What is published of an instance: the worse of what it declares and of what is seen of it. One that is still starting
 * gets no calls in any case: it stays `starting` as long as it says so.
 */
export function publishedStatus(
  declared: DeclaredStatus,
  beats: ObservedStatus,
  probes: ObservedStatus,
): InstanceStatus {
  if (declared === "starting") return "starting";
  const observed = RANK[beats] > RANK[probes] ? beats : probes;
  return RANK[observed] > RANK[declared] ? observed : declared;
}

/** What is known of an instance's state. */
export interface Standing {
  readonly declared: DeclaredStatus;
  /** What the probes last saw. */
  readonly probes: ObservedStatus;
  /** Good beats that it owes after one that was late. */
  readonly owedBeats: number;
  /** What should be published of it. */
  readonly status: InstanceStatus;
}

const standings = new Map<string, Standing>();

/** A standing; there are so few that all instances share them. */
export function standing(declared: DeclaredStatus, probes: ObservedStatus, owedBeats: number): Standing {
  const key = `${declared} ${probes} ${owedBeats}`;
  let known = standings.get(key);
  if (!known) {
    const status = publishedStatus(declared, owedBeats > 0 ? "unstable" : "healthy", probes);
    known = Object.freeze({ declared, probes, owedBeats, status });
    standings.set(key, known);
  }
  return known;
}

/** What an instance declares by a status it was registered or updated with; what others saw of it is no declaration. */
export function declaredBy(status: InstanceStatus, before: DeclaredStatus): DeclaredStatus {
  return status === "unstable" || status === "failed" ? before : status;
}

/** How many good beats a late instance still owes, after one that came in time or not. */
export function owedAfterBeat(owed: number, inTime: boolean): number {
  return inTime ? Math.max(0, owed - 1) : GOOD_BEATS;
}
