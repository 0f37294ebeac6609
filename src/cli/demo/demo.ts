import { parseArgs } from "node:util";
import { systemClock, whileAwaited } from "../../runtime/clock.js";
import { interrupted } from "../interrupted.js";
import { Cast, type Provider } from "./cast.js";
import type { ConsumerReport, SeenInstance } from "./messages.js";
import { type View, viewFor } from "./view.js";

const HELP = `Usage: mcp-discovery demo [--json] [--forever]

A registry, three providers and a consumer as processes on this machine. One provider is killed, a fresh one starts;
no call fails. Exit code 0 only if that is so.

  --json      events and reports as lines of JSON
  --forever   goes on killing and starting until Ctrl-C
`;
const PROVIDERS = 3;
/** Calls per second, sent whether the earlier ones were answered or not. */
const RATE = 250;
/** The acts, in milliseconds: all is well; one dies; a newcomer; and a while to watch it. */
const ACTS = { calmMs: 3_000, afterKillMs: 4_000, afterNewcomerMs: 4_000 } as const;

/** Everything the summary is made of. */
interface Story {
  report: ConsumerReport;
  killed: { readonly id: string; readonly at: number } | undefined;
  newcomer: { readonly id: string; readonly at: number } | undefined;
}

/** Runs the demo; the answer is the exit code. */
export async function demo(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { json: { type: "boolean" }, forever: { type: "boolean" }, help: { type: "boolean", short: "h" } },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const halt = new AbortController();
  const cast = new Cast(halt.signal);
  const view = viewFor(process.stdout, values.json ?? false);
  void interrupted().then(() => halt.abort());
  const story: Story = { report: nothingYet(), killed: undefined, newcomer: undefined };
  try {
    await whileAwaited(play(cast, view, story, values.forever ?? false, halt.signal));
  } catch (error) {
    if (!halt.signal.aborted) throw error;
  } finally {
    halt.abort();
    await cast.leave();
  }
  return conclude(view, story);
}

async function play(cast: Cast, view: View, story: Story, forever: boolean, signal: AbortSignal): Promise<void> {
  const url = await cast.registry();
  view.event("registry", `registry at ${url}`, { url });
  const providers = await Promise.all(Array.from({ length: PROVIDERS }, () => cast.provider()));
  view.event("providers", `providers: ${providers.map(({ id }) => id).join(", ")}`, {
    ids: providers.map(({ id }) => id),
  });
  const begun = systemClock.now();
  const broken = new Promise<never>((_, reject) => {
    const told = (report: ConsumerReport): void => {
      story.report = report;
      view.report(report, (systemClock.now() - begun) / 1_000);
    };
    cast.consumer(RATE, told, reject);
  });
  do await Promise.race([broken, killAndReplace(cast, providers, view, story, signal)]);
  while (forever);
}

async function killAndReplace(
  cast: Cast,
  providers: Provider[],
  view: View,
  story: Story,
  signal: AbortSignal,
): Promise<void> {
  await systemClock.sleep(ACTS.calmMs, signal);
  const victim = providers.shift() as Provider;
  story.killed = { id: victim.id, at: systemClock.wall() };
  victim.child.kill("SIGKILL");
  view.event("killed", `✖ killed ${victim.id} (SIGKILL)`, { id: victim.id });
  await systemClock.sleep(ACTS.afterKillMs, signal);
  const fresh = await cast.provider();
  story.newcomer = { id: fresh.id, at: systemClock.wall() };
  providers.push(fresh);
  view.event("started", `✚ started ${fresh.id}`, { id: fresh.id });
  await systemClock.sleep(ACTS.afterNewcomerMs, signal);
}

function conclude(view: View, { report, killed, newcomer }: Story): number {
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
  ];
  view.summary(lines, { calls, failures, lastFailure, shares, deadLastCallMs, newcomerFirstCallMs });
  return failures === 0 && calls > 0 ? 0 : 1;
}

/** From one moment to another; 0 if the other came first: a call may be under way when its instance dies. */
function since(at: number, moment: number | undefined): number | undefined {
  return moment === undefined ? undefined : Math.max(0, Math.round(moment - at));
}

function shown(ms: number | undefined): string {
  return ms === undefined ? "never" : `${ms} ms`;
}

function nothingYet(): ConsumerReport {
  return { type: "report", calls: 0, failures: 0, lastFailure: undefined, instances: [] };
}
