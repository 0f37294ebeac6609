import type { ConsumerReport, SeenInstance } from "./messages.js";
import { TTL_MS } from "./ttl.js";
import type { View } from "./view.js";

/** Everything the summary is made of. Moments are wall-clock milliseconds of this machine. */
export interface Story {
  report: ConsumerReport;
  killed: Moment | undefined;
  /** How long after its death the registry called it failed, and no longer listed it, in milliseconds. */
  killedFailedMs: number | undefined;
  killedGoneMs: number | undefined;
  newcomer: Moment | undefined;
  /** How long each provider took from the wish that it leave until its successor was registered, in milliseconds. */
  readonly restartsMs: number[];
  /** How long each provider took to leave, in milliseconds. */
  readonly leavingMs: number[];
  /** What befell the registry in the last act, for people. */
  registryAct: string | undefined;
  /**
   * From the registry's return until everybody was in it, in milliseconds: as the consumer saw it if it is our own,
   * as the registry lists it if not.
   */
  visibleAgainMs: number | undefined;
  /** Until the consumer had heard of it from a registry that is not ours, in milliseconds. */
  heardAgainMs: number | undefined;
}

/** Something that befell an instance. */
export interface Moment {
  readonly id: string;
  readonly at: number;
}

export function newStory(): Story {
  return {
    report: { type: "report", calls: 0, failures: 0, lastFailure: undefined, instances: [] },
    killed: undefined,
    killedFailedMs: undefined,
    killedGoneMs: undefined,
    newcomer: undefined,
    restartsMs: [],
    leavingMs: [],
    registryAct: undefined,
    visibleAgainMs: undefined,
    heardAgainMs: undefined,
  };
}

/** Tells how it ended; the answer is the exit code. */
export function conclude(view: View, story: Story): number {
  const { report, killed, newcomer, restartsMs, leavingMs, registryAct, visibleAgainMs, heardAgainMs } = story;
  const { killedFailedMs, killedGoneMs } = story;
  const { calls, failures, lastFailure, instances } = report;
  const of = (id: string | undefined): SeenInstance | undefined => instances.find((each) => each.id === id);
  const shares = Object.fromEntries(
    instances.map((each) => [each.id, Number(((100 * each.calls) / Math.max(1, calls)).toFixed(1))]),
  );
  const deadLastCallMs = killed && since(killed.at, of(killed.id)?.lastAt);
  const newcomerFirstCallMs = newcomer && since(newcomer.at, of(newcomer.id)?.firstAt);
  const heard = heardAgainMs === undefined ? "" : `, and the consumer had heard of all after ${shown(heardAgainMs)}`;
  const lines = [
    `${calls} calls, ${failures} failed${lastFailure ? ` (last: ${lastFailure})` : ""}`,
    ...Object.entries(shares).map(([id, share]) => `  ${id.padEnd(24)} ${share.toFixed(1).padStart(5)} % of the calls`),
    `the killed one got its last call ${shown(deadLastCallMs)} after it died, and ${of(killed?.id)?.trials ?? 0} calls asked in vain whether it was back`,
    droppingOf(story),
    `the newcomer got its first call ${shown(newcomerFirstCallMs)} after it had registered`,
    `${restartsMs.length} providers were restarted in turn: ${shown(mean(leavingMs))} to leave, ${shown(mean(restartsMs))} until the next was in`,
    `${registryAct ?? "the registry never came back"}; everybody was in it again after ${shown(visibleAgainMs)}${heard}`,
  ];
  const fields = {
    calls,
    failures,
    lastFailure,
    shares,
    deadLastCallMs,
    killedFailedMs,
    killedGoneMs,
    newcomerFirstCallMs,
  };
  view.summary(lines, { ...fields, leavingMs, restartsMs, registryAct, visibleAgainMs, heardAgainMs });
  return failures === 0 && calls > 0 ? 0 : 1;
}

/** How the registry took note of a death, as long as it was looked at. */
function droppingOf({ killedFailedMs, killedGoneMs }: Story): string {
  if (killedGoneMs !== undefined) return `the registry dropped it ${shown(killedGoneMs)} after it died`;
  if (killedFailedMs === undefined)
    return `the registry still lists it: it ends by its ttl of ${TTL_MS} ms, and by what the registry adds`;
  return `the registry called it failed ${shown(killedFailedMs)} after it died, and drops it later`;
}

/** From one moment to another; 0 if the other came first: a call may be under way when its instance dies. */
function since(at: number, moment: number | undefined): number | undefined {
  return moment === undefined ? undefined : Math.max(0, Math.round(moment - at));
}

function mean(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  return Math.round(values.reduce((sum, value) => sum + value, 0) / values.length);
}

function shown(ms: number | undefined): string {
  return ms === undefined ? "never" : `${ms} ms`;
}
