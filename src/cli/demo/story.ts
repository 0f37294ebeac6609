import type { ConsumerReport, SeenInstance } from "./messages.js";
import type { View } from "./view.js";

/** Everything the summary is made of. Moments are wall-clock milliseconds of this machine. */
export interface Story {
  report: ConsumerReport;
  killed: Moment | undefined;
  newcomer: Moment | undefined;
  /** How long each provider took from the wish that it leave until its successor was registered, in milliseconds. */
  readonly restartsMs: number[];
  /** How long each provider took to leave, in milliseconds. */
  readonly leavingMs: number[];
  /** From the empty registry's first word until the consumer saw everybody in it, in milliseconds. */
  visibleAgainMs: number | undefined;
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
    newcomer: undefined,
    restartsMs: [],
    leavingMs: [],
    visibleAgainMs: undefined,
  };
}

/** Tells how it ended; the answer is the exit code. */
export function conclude(view: View, story: Story): number {
  const { report, killed, newcomer, restartsMs, leavingMs, visibleAgainMs } = story;
  const { calls, failures, lastFailure, instances } = report;
  const of = (id: string | undefined): SeenInstance | undefined => instances.find((each) => each.id === id);
  const shares = Object.fromEntries(
    instances.map((each) => [each.id, Number(((100 * each.calls) / Math.max(1, calls)).toFixed(1))]),
  );
  const deadLastCallMs = killed && since(killed.at, of(killed.id)?.lastAt);
  const newcomerFirstCallMs = newcomer && since(newcomer.at, of(newcomer.id)?.firstAt);
  const lines = [
    `${calls} calls, ${failures} failed${lastFailure ? ` (last: ${lastFailure})` : ""}`,
    ...Object.entries(shares).map(([id, share]) => `  ${id.padEnd(24)} ${share.toFixed(1).padStart(5)} % of the calls`),
    `the killed one got its last call ${shown(deadLastCallMs)} after it died, and ${of(killed?.id)?.trials ?? 0} calls asked in vain whether it was back`,
    `the newcomer got its first call ${shown(newcomerFirstCallMs)} after it had registered`,
    `${restartsMs.length} providers were restarted in turn: ${shown(mean(leavingMs))} to leave, ${shown(mean(restartsMs))} until the next was in`,
    `the registry came back with nothing in its memory; everybody was in it again after ${shown(visibleAgainMs)}`,
  ];
  const fields = { calls, failures, lastFailure, shares, deadLastCallMs, newcomerFirstCallMs };
  view.summary(lines, { ...fields, leavingMs, restartsMs, visibleAgainMs });
  return failures === 0 && calls > 0 ? 0 : 1;
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
