import { parseArgs } from "node:util";
import { systemClock, whileAwaited } from "../../runtime/clock.js";
import { within } from "../../runtime/deadline.js";
import { interrupted } from "../interrupted.js";
import { Cast, type Provider } from "./cast.js";
import { conclude, newStory, type Story } from "./story.js";
import { type View, viewFor } from "./view.js";

const HELP = `Usage: mcp-discovery demo [--json] [--forever]

A registry, three providers and a consumer as processes on this machine. One provider is killed, a fresh one starts;
then every provider is restarted in turn; then the registry is killed and comes back with nothing in its memory. No
call fails. Exit code 0 only if that is so.

  --json      events and reports as lines of JSON
  --forever   plays it again and again until Ctrl-C
`;
const PROVIDERS = 3;
/** Calls per second, sent whether the earlier ones were answered or not. */
const RATE = 250;
/** How long each act is watched, in milliseconds. */
const ACTS = {
  calmMs: 2_000,
  killMs: 4_000,
  newcomerMs: 2_000,
  restartMs: 1_000,
  awayMs: 1_000,
  backMs: 1_000,
} as const;
/** Providers that are not back in the registry after this, in milliseconds, never will be. */
const VISIBLE_WITHIN_MS = 15_000;

/** The demo while it plays. */
interface Stage {
  readonly cast: Cast;
  readonly view: View;
  readonly story: Story;
  readonly providers: Provider[];
  readonly signal: AbortSignal;
  /** Resolves when the consumer next sees everybody in a registry that began anew. */
  visible(): Promise<number>;
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
  const story = newStory();
  void interrupted().then(() => halt.abort());
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
  const ids = providers.map(({ id }) => id);
  view.event("providers", `providers: ${ids.join(", ")}`, { ids });
  const begun = systemClock.now();
  let seen: (at: number) => void = () => {};
  const visible = (): Promise<number> =>
    new Promise((resolve) => {
      seen = resolve;
    });
  const broken = new Promise<never>((_, died) => {
    cast.consumer(RATE, {
      report(report) {
        story.report = report;
        view.report(report, (systemClock.now() - begun) / 1_000);
      },
      visible: (at) => seen(at),
      died,
    });
  });
  const stage: Stage = { cast, view, story, providers, signal, visible };
  do await Promise.race([broken, acts(stage)]);
  while (forever);
}

async function acts(stage: Stage): Promise<void> {
  await systemClock.sleep(ACTS.calmMs, stage.signal);
  await killOne(stage);
  await startOne(stage);
  await restartAll(stage);
  await forgetAll(stage);
}

async function killOne({ view, story, providers, signal }: Stage): Promise<void> {
  const victim = providers.shift() as Provider;
  story.killed = { id: victim.id, at: systemClock.wall() };
  victim.child.kill("SIGKILL");
  view.event("killed", `✖ killed ${victim.id} (SIGKILL)`, { id: victim.id });
  await systemClock.sleep(ACTS.killMs, signal);
}

async function startOne({ cast, view, story, providers, signal }: Stage): Promise<void> {
  const fresh = await cast.provider();
  story.newcomer = { id: fresh.id, at: systemClock.wall() };
  providers.push(fresh);
  view.event("started", `✚ started ${fresh.id}`, { id: fresh.id });
  await systemClock.sleep(ACTS.newcomerMs, signal);
}

async function restartAll({ cast, view, story, providers, signal }: Stage): Promise<void> {
  for (const [index, provider] of providers.entries()) {
    const askedAt = systemClock.now();
    provider.child.once("exit", () => story.leavingMs.push(Math.round(systemClock.now() - askedAt)));
    providers[index] = await cast.replace(provider);
    story.restartsMs.push(Math.round(systemClock.now() - askedAt));
    view.event("restarted", `↻ restarted ${provider.id} (SIGTERM)`, { id: provider.id });
  }
  await systemClock.sleep(ACTS.restartMs, signal);
}

async function forgetAll({ cast, view, story, signal, visible }: Stage): Promise<void> {
  await cast.killRegistry();
  view.event("registryKilled", "✖ killed the registry (SIGKILL)");
  await systemClock.sleep(ACTS.awayMs, signal);
  const everybody = visible();
  const url = await cast.registry();
  const backAt = systemClock.wall();
  view.event("registryBack", "✚ the registry is back, with nothing in its memory", { url });
  const scope = { clock: systemClock, signal };
  const seenAt = await within("return of every provider to the registry", VISIBLE_WITHIN_MS, scope, () => everybody);
  story.visibleAgainMs = Math.max(0, Math.round(seenAt - backAt));
  await systemClock.sleep(ACTS.backMs, signal);
}
