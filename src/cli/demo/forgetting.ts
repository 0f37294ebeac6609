import { systemClock } from "../../runtime/clock.js";
import { within } from "../../runtime/deadline.js";
import { runRestart } from "./restart-command.js";
import { holding, type Outside, type Stage, seen } from "./stage.js";
import { holdsAll } from "./witness.js";

/** How long our own registry is away, and how long its return is watched, in milliseconds. */
const OWN = { awayMs: 1_000, backMs: 1_000 } as const;
/** How long a registry that is not ours is cut off, in milliseconds: less than a ttl, longer than two beats. */
const CUT_MS = 5_000;
/** Providers that are not back in our own registry after this, in milliseconds, never will be. */
const VISIBLE_WITHIN_MS = 15_000;
/** A command that restarts a registry has ended after this, in milliseconds; servers in Java take their time. */
const RESTART_WITHIN_MS = 120_000;

/** Our own registry is killed, and another takes its place with nothing in its memory. */
export async function forgetOwn({ cast, view, story, signal, visible }: Stage): Promise<void> {
  await cast.killRegistry();
  view.event("registryKilled", "✖ killed the registry (SIGKILL)");
  await systemClock.sleep(OWN.awayMs, signal);
  const everybody = visible();
  const url = await cast.registry();
  const backAt = systemClock.wall();
  view.event("registryBack", "✚ the registry is back, with nothing in its memory", { url });
  const scope = { clock: systemClock, signal };
  const seenAt = await within("return of every provider to the registry", VISIBLE_WITHIN_MS, scope, () => everybody);
  story.registryAct = "the registry came back with nothing in its memory";
  story.visibleAgainMs = Math.max(0, Math.round(seenAt - backAt));
  await systemClock.sleep(OWN.backMs, signal);
}

/**
 * A registry that is not ours is restarted by the command that was given; without one it is cut off, and our records
 * are deleted behind their agents' backs, which is what its restart would look like. The story says which it was.
 */
export async function forgetOutside(stage: Stage, outside: Outside): Promise<void> {
  const { cast, view, story, providers, witness } = stage;
  story.registryAct = await (outside.restart === undefined
    ? deleted(stage, outside)
    : restarted(stage, outside.restart));
  const backAt = systemClock.now();
  view.event("registryBack", `✚ ${story.registryAct}`);
  await seen("return of every provider to the registry", stage, (signal) =>
    witness.until((listed) => holdsAll(listed, cast.leasesOf(providers)), signal),
  );
  story.visibleAgainMs = Math.round(systemClock.now() - backAt);
  const isHeard = (): boolean =>
    holdsAll(new Map(story.report.instances.map((each) => [each.id, each])), cast.leasesOf(providers));
  await seen("return of every provider to the consumer", stage, (signal) => holding(isHeard, signal));
  story.heardAgainMs = Math.round(systemClock.now() - backAt);
  await systemClock.sleep(OWN.backMs, stage.signal);
}

async function restarted({ view, providers, witness, signal }: Stage, command: string): Promise<string> {
  view.event("registryRestarting", `✖ restarting the registry: ${command}`, { command });
  await within(`end of ${command}`, RESTART_WITHIN_MS, { clock: systemClock, signal }, (signal) =>
    runRestart(command, signal),
  );
  let already = 0;
  await seen("first list of the restarted registry", { signal }, (signal) =>
    witness.until((listed) => {
      already = providers.filter(({ id }) => listed.has(id)).length;
      return true;
    }, signal),
  );
  return `the registry was restarted by your command; its first list had ${already} of ${providers.length} providers`;
}

async function deleted({ cast, view, providers, witness, signal }: Stage, { relay }: Outside): Promise<string> {
  relay?.cut();
  if (relay) view.event("registryCut", "✖ cut the registry off: no connection, and none taken");
  const before = cast.leasesOf(providers);
  const kept = await witness.forget(before);
  const many = `${before.length - kept} of our ${before.length} records were deleted`;
  view.event("recordsDeleted", `✖ ${many} behind their agents' backs`, { deleted: before.length - kept });
  if (kept > 0) throw new Error(`Only ${many}`);
  if (relay) {
    await systemClock.sleep(CUT_MS, signal);
    await relay.mend();
    return `the registry was cut off for ${CUT_MS / 1_000} s, and ${many} meanwhile`;
  }
  await holding(() => before.every(({ id, instance }) => cast.leases.get(instance.id)?.id !== id), signal); // lists may be older
  return `${many} behind their agents' backs (the registry was not cut off: TLS, or several hosts)`;
}
