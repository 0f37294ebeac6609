import type { Lease } from "../../registry/registry.js";
import { systemClock } from "../../runtime/clock.js";
import { linked } from "../../runtime/deadline.js";
import type { Provider } from "./cast.js";
import { forgetOutside, forgetOwn } from "./forgetting.js";
import { holding, type Stage, seen } from "./stage.js";

/** How long each act is watched at least, in milliseconds. */
const ACTS = { calmMs: 2_000, killMs: 4_000, newcomerMs: 2_000, restartMs: 1_000 } as const;

/** One performance, from the first calm to the registry that forgets. */
export async function acts(stage: Stage): Promise<void> {
  await systemClock.sleep(ACTS.calmMs, stage.signal);
  const mourning = await killOne(stage);
  await startOne(stage);
  await restartAll(stage);
  mourning.end(); // a registry that forgets would drop the dead as well
  await (stage.outside ? forgetOutside(stage, stage.outside) : forgetOwn(stage));
}

async function killOne(stage: Stage): Promise<{ end(): void }> {
  const { cast, view, story, providers, signal } = stage;
  const victim = providers.shift() as Provider;
  const lease = cast.leases.get(victim.id) as Lease;
  story.killed = { id: victim.id, at: systemClock.wall() };
  story.killedFailedMs = story.killedGoneMs = undefined;
  victim.child.kill("SIGKILL");
  view.event("killed", `✖ killed ${victim.id} (SIGKILL)`, { id: victim.id });
  const mourning = new AbortController();
  const { signal: until, release } = linked(signal, mourning.signal);
  void mourn(stage, lease, until)
    .catch(() => {}) // the summary tells that it was not seen
    .finally(release);
  await systemClock.sleep(ACTS.killMs, signal);
  return { end: () => mourning.abort() };
}

/** Looks on while the registry first calls the dead failed, where it does, and then drops it. */
async function mourn({ story, witness }: Stage, { instance }: Lease, signal: AbortSignal): Promise<void> {
  const diedAt = systemClock.now();
  const elapsed = (): number => Math.round(systemClock.now() - diedAt);
  await witness.until((listed) => {
    const status = listed.get(instance.id)?.status;
    if (status === "failed") story.killedFailedMs ??= elapsed();
    return status === undefined;
  }, signal);
  story.killedGoneMs = elapsed();
}

async function startOne(stage: Stage): Promise<void> {
  const { cast, view, story, providers, signal } = stage;
  const fresh = await cast.provider();
  story.newcomer = { id: fresh.id, at: systemClock.wall() };
  providers.push(fresh);
  view.event("started", `✚ started ${fresh.id}`, { id: fresh.id });
  const isCalled = (): boolean => story.report.instances.some(({ id, calls }) => id === fresh.id && calls > 0);
  await systemClock.sleep(ACTS.newcomerMs, signal);
  await seen("first call of the newcomer", stage, (signal) => holding(isCalled, signal));
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
