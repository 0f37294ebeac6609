import { REGISTRY } from "./nodes.mjs";

const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;
/** Whoever slept for longer than this, in milliseconds, can tell. */
const NOTICED_MS = 5_500;
/** It then asks for its lists, or beats, within this, in milliseconds of its own clock. */
const AWAKE_MS = 1_000;

/** Wall clocks are set, by an hour or by ten years: nothing at all may come of it. */
export async function wallsStep(world, dice) {
  for (const process of processesOf(world)) {
    if (!dice.chance(0.5)) continue;
    process.wallOffMs += dice.oneOf([-1, 1]) * dice.oneOf([HOUR_MS, 10 * YEAR_MS]);
    process.wallSetAt = world.now;
    world.network.count("wall step");
  }
  world.note("wall clocks are set");
  world.commandedAt = world.now; // all at one instant, which looks to each like a waking
  await world.sleep(dice.between(0, 2 * world.ttlMs));
}

/** One machine is suspended: for a moment, or for longer than any lease. */
export async function machineSleeps(world, dice) {
  const process = dice.oneOf(processesOf(world));
  world.note(`${process.host} is suspended`);
  world.network.count("suspend");
  const expected = askedOnWaking(world, process);
  if (expected.length > 0 && dice.chance(0.3)) await untilItAsks(world, process, expected[0]);
  process.suspend();
  await world.sleep(dice.oneOf([dice.between(500, 5_000), world.ttlMs * dice.between(0.5, 3)]));
  const sleptMs = process.sleepsForMs;
  world.checks.disturbed();
  process.resume();
  if (sleptMs > NOTICED_MS) for (const kinds of expected) asks(world, process, kinds);
  await world.sleep(AWAKE_MS + dice.between(0, world.beatMs));
}

/** Of which kinds of requests whoever wakes must send one: a consumer for each list, a provider whose lease is known. */
function askedOnWaking({ consumers, providers, checks }, process) {
  const views = consumers.find((each) => each.process === process)?.views ?? [];
  const provider = providers.find(({ life }) => life?.process === process);
  const isHeld = provider !== undefined && checks.registry.lists(provider);
  const lists = views.map(({ name }) => [`GET /v1/services/${name}/instances`]);
  return isHeld ? [["POST /v1/heartbeat", "POST /v1/register"]] : lists;
}

/** Until a request of that kind is under way, and slow: the answer will come while nobody is awake. */
async function untilItAsks(world, process, kinds) {
  const latest = () => Math.max(...kinds.map((kind) => process.sentAt.get(kind) ?? 0));
  const before = latest();
  for (let waited = 0; waited < 2 * world.refreshMs && latest() === before; waited += 20) {
    world.network.delayNext(process.host, REGISTRY, 2_000);
    await world.sleep(20);
  }
}

/** C-13: within a second of waking. */
function asks({ checks }, process, kinds) {
  const wokeAt = process.resumedAt;
  checks.expect(AWAKE_MS / process.rate, "C-13", `${process.host} woke, and sent no ${kinds.join(", nor ")}`, () => {
    return !process.isRunning || kinds.some((kind) => process.sentAt.get(kind) >= wokeAt);
  });
}

function processesOf({ registry, providers, consumers }) {
  return [registry, ...consumers, ...providers.flatMap(({ life }) => life ?? [])].map(({ process }) => process);
}
