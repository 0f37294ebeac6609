import { corrupt } from "./disk.mjs";
import { seenAgain, upOf } from "./expected.mjs";
import { LIES } from "./lies.mjs";
import { REGISTRY, WARMING_MS } from "./nodes.mjs";

/** A connection that is swallowed costs its caller this long, in milliseconds, before it counts as failed. */
const SWALLOWED_MS = 3_000;
/** A lease ends this much after its ttl at the latest, in milliseconds; of a small service one within so many. */
const SWEEP_MS = 1_000;
const EXPIRING_MS = 10_000;
/**
 * A consumer asks for a list again five seconds after the first word against somebody, in milliseconds; once more where
 * the watch was faster than that answer; and a moment passes.
 */
const REPEATED_MS = 11_000;
/** Whatever was so for this long, in milliseconds, is on the disk: a writing follows a change within a second. */
const WRITTEN_MS = 1_500;

export async function registryEmpty(world, dice) {
  const answer = dice.oneOf(["refuses", "refuses", "swallows"]);
  world.note(`r crashes and ${answer}`);
  world.registry.crash(answer);
  if (dice.chance(0.3)) upOf(world, dice)?.kill();
  await world.sleep(dice.oneOf([dice.between(0, 2_000), dice.between(0, 20_000), dice.between(0, 5 * world.ttlMs)]));
  world.checks.disturbed();
  world.registry.boot();
  for (const provider of world.providers) seenAgain(world, provider, answer === "swallows" ? SWALLOWED_MS : 0, "P-1");
  await world.sleep(world.beatMs + 6_000);
}

/**
 * Everybody dies while the registry, which is young, still warms up: it saw them, so it did not forget them, and
 * consumers believe it as soon as nobody listens there and it has repeated itself.
 */
export async function everybodyDiesWhileWarming(world, dice) {
  const { registry, providers, consumers, ttlMs, slowness, checks } = world;
  registry.crash("refuses");
  registry.boot();
  await world.sleep(world.beatMs + 6_000 * slowness);
  const most = Math.max(...world.serviceNames.map((name) => listedOf(checks, name)));
  checks.disturbed();
  for (const provider of providers) if (provider.isUp) provider.kill();
  const expiredMs = ttlMs + SWEEP_MS + (most - 1) * EXPIRING_MS; // of each service one at a time
  const goneMs = (expiredMs + REPEATED_MS) * slowness;
  for (const { host, views, process } of most < 3 ? consumers : []) {
    checks.expect(
      goneMs,
      "C-3",
      `${host} still knows somebody, though all are dead and the registry said so twice`,
      () => {
        return !process.isRunning || views.every(({ snapshot }) => snapshot.instances.length === 0);
      },
    );
  }
  await world.sleep(goneMs + dice.between(0, ttlMs));
}

function listedOf({ registry }, service) {
  return [...registry.listed.values()].filter(({ instance }) => instance.service === service).length;
}

/** Consumers are cut off while the registry restarts and warms up: they come back with positions of an earlier epoch. */
export async function registryEmptyUnseen(world, dice) {
  world.note("nobody hears how r restarts");
  for (const { host } of world.consumers) world.network.cut(host, REGISTRY);
  world.registry.crash("refuses");
  if (dice.chance(0.7)) upOf(world, dice)?.kill();
  world.registry.boot();
  await world.sleep(WARMING_MS + dice.between(100, 20_000));
}

export async function registryKept(world, dice) {
  world.note("r crashes, but keeps what it knows");
  world.registry.crashKeeping(dice.oneOf(["refuses", "swallows"]));
  await world.sleep(dice.oneOf([dice.between(0, 5_000), dice.between(0, 3 * world.ttlMs)]));
  world.checks.disturbed();
  world.registry.bootKept();
}

/** The registry's machine loses power and comes back with its disk, on which a byte may have changed. */
export async function registryFromDisk(world, dice) {
  if (!world.hasDisk) return registryKept(world, dice);
  const { registry, checks } = world;
  await world.sleep(dice.between(0, WRITTEN_MS));
  const written = checks.registry.listedFor(WRITTEN_MS);
  world.note("r loses power");
  registry.losesPower(dice.fraction());
  const isSpoilt = dice.chance(0.2) && corrupt(registry.path, dice.fraction());
  await world.sleep(dice.oneOf([dice.between(0, 2_000), dice.between(0, 3 * world.ttlMs)]));
  checks.disturbed();
  registry.boot(true);
  await world.sleep(0);
  const { listed } = checks.registry;
  if (isSpoilt && listed.size > 0) checks.fail("S-1", "a snapshot that was changed was believed");
  for (const { id } of isSpoilt ? [] : written) {
    if (!listed.has(id)) checks.fail("S-1", `${id} was on the disk and is forgotten`);
  }
  for (const provider of world.providers) seenAgain(world, provider, SWALLOWED_MS, "P-1");
  await world.sleep(world.beatMs + 6_000);
}

export async function registryStalls(world, dice) {
  world.note("r stands still");
  world.network.count("registry stall");
  world.registry.process.pause(dice.chance(0.5));
  await world.sleep(dice.oneOf([dice.between(100, 4_000), dice.between(world.ttlMs, 3 * world.ttlMs)]));
  world.registry.process.resume();
  world.note("r goes on");
  await world.sleep(dice.between(0, world.ttlMs));
}

export async function registryLongGone(world, dice) {
  const answer = dice.oneOf(["refuses", "swallows"]);
  world.note(`r is gone for long and ${answer}`);
  world.registry.crash(answer);
  await world.sleep(dice.between(5, 40) * 60_000);
  world.registry.boot();
}

/** It goes on serving providers, and tells readers what is not so; meanwhile somebody, or everybody, may die. */
export async function registryLies(world, dice) {
  const kind = dice.oneOf(LIES);
  world.note(`r lies: ${kind}`);
  world.registry.lies(kind);
  const dying = dice.oneOf([0, 0, 0.3, 1]);
  await world.sleep(dice.between(0, 4_000));
  for (const provider of world.providers) if (dice.chance(dying)) provider.kill(dice.chance(0.3));
  await world.sleep(dice.oneOf([dice.between(0, 8_000), dice.between(0, 3 * world.ttlMs)]));
  world.registry.lies(undefined);
  await world.sleep(dice.between(0, world.beatMs));
}

/** It goes on where nobody can reach it: when it is back it has ended leases, or all of them. */
export async function registryUnreached(world, dice) {
  world.note("nobody can reach r");
  for (const { host } of [...world.providers, ...world.consumers]) {
    world.network.cut(host, REGISTRY);
    world.network.cut(REGISTRY, host);
  }
  await world.sleep(world.ttlMs * dice.between(0.4, 7));
  if (dice.chance(0.3)) upOf(world, dice)?.kill(dice.chance(0.5));
  if (dice.chance(0.2)) upOf(world, dice)?.stop();
  await world.sleep(dice.between(0, 2_000));
}

/** It is back from such an outage just for as long as one or two get through to it, and away again. */
export async function registrySeenForAMoment(world, dice) {
  await registryUnreached(world, dice);
  world.network.mendAll();
  await world.sleep(dice.between(500, world.beatMs));
  world.checks.disturbed();
  await registryUnreached(world, dice);
}

/** All providers lose the registry, or most, or a few; consumers see both. */
export async function registryCutOff(world, dice) {
  const share = dice.oneOf([1, 0.6, 0.2]);
  world.note(`r is cut off from ${share * 100} % of providers`);
  for (const { host } of world.providers) {
    if (!dice.chance(share)) continue;
    world.network.cut(host, REGISTRY);
    world.network.cut(REGISTRY, host);
  }
  await world.sleep(world.ttlMs * dice.between(0.8, 3));
}
