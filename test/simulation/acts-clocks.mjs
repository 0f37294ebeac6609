const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;

/** Wall clocks are set, by an hour or by ten years: nothing at all may come of it. */
export async function wallsStep(world, dice) {
  for (const process of processesOf(world)) {
    if (!dice.chance(0.5)) continue;
    process.wallOffMs += dice.oneOf([-1, 1]) * dice.oneOf([HOUR_MS, 10 * YEAR_MS]);
    world.network.count("wall step");
  }
  world.note("wall clocks are set");
  await world.sleep(dice.between(0, 2 * world.ttlMs));
}

/** One machine is suspended: for a moment, or for longer than any lease. */
export async function machineSleeps(world, dice) {
  const process = dice.oneOf(processesOf(world));
  world.note(`${process.host} is suspended`);
  world.network.count("suspend");
  process.suspend();
  await world.sleep(dice.oneOf([dice.between(500, 5_000), world.ttlMs * dice.between(0.5, 3)]));
  process.resume();
  await world.sleep(dice.between(0, world.beatMs));
}

function processesOf({ registry, providers, consumers }) {
  return [registry, ...consumers, ...providers.flatMap(({ life }) => life ?? [])].map(({ process }) => process);
}
