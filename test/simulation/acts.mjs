import { SLACK_MS } from "./checks.mjs";
import { corrupt } from "./disk.mjs";
import { LIES } from "./lies.mjs";
import { CALM } from "./network.mjs";
import { REGISTRY, WARMING_MS } from "./nodes.mjs";

/** A connection that is swallowed costs its caller this long, in milliseconds, before it counts as failed. */
const SWALLOWED_MS = 3_000;
/** Whatever was so for this long, in milliseconds, is on the disk: a writing follows a change within a second. */
const WRITTEN_MS = 1_500;
const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;

/**
 * What happens between two calms: one fault or several, and what is promised of it. A world plays them in the order its
 * dice give, by weight; after each one everything must converge.
 */
export const ACTS = [
  { name: "registry-empty", weight: 6, play: registryEmpty },
  { name: "registry-empty-unseen", weight: 1, play: registryEmptyUnseen },
  { name: "registry-kept", weight: 2, play: registryKept },
  { name: "registry-from-disk", weight: 2, play: registryFromDisk },
  { name: "registry-stalls", weight: 3, play: registryStalls },
  { name: "registry-long-gone", weight: 1, play: registryLongGone },
  { name: "provider-crashes", weight: 2, play: providerCrashes },
  { name: "provider-restarts-fast", weight: 3, play: providerRestartsFast },
  { name: "provider-pauses", weight: 3, play: providerPauses },
  { name: "provider-leaves", weight: 2, play: providerLeaves },
  { name: "provider-changes", weight: 1, play: providerChanges },
  { name: "change-while-away", weight: 1, play: changeWhileAway },
  { name: "cut", weight: 3, play: cut },
  { name: "foul-weather", weight: 3, play: foulWeather },
  { name: "slow-network", weight: 2, play: slowNetwork },
  { name: "rolling-restart", weight: 2, play: rollingRestart },
  { name: "rolling-restart-without-registry", weight: 1, play: rollingRestartWithoutRegistry },
  { name: "consumer-restarts", weight: 1, play: consumerRestarts },
  { name: "walls-step", weight: 1, play: wallsStep },
  { name: "machine-sleeps", weight: 2, play: machineSleeps },
  { name: "registry-lies", weight: 5, play: registryLies },
  { name: "registry-cut-off", weight: 2, play: registryCutOff },
  { name: "everybody-dies", weight: 1, play: everybodyDies },
  { name: "slow-changes", weight: 1, play: slowChanges },
  { name: "everything", weight: 2, play: everything },
];

async function registryEmpty(world, dice) {
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

/** Consumers are cut off while the registry restarts and warms up: they come back with positions of an earlier epoch. */
async function registryEmptyUnseen(world, dice) {
  world.note("nobody hears how r restarts");
  for (const { host } of world.consumers) world.network.cut(host, REGISTRY);
  world.registry.crash("refuses");
  if (dice.chance(0.7)) upOf(world, dice)?.kill();
  world.registry.boot();
  await world.sleep(WARMING_MS + dice.between(100, 20_000));
}

/** The registry lists this provider again within one beat and a second. */
function seenAgain(world, provider, extraMs, id) {
  const { life } = provider;
  if (!provider.isUp) return;
  world.checks.expect(world.beatMs + 1_000 + SLACK_MS + extraMs, id, `${provider.host} is not listed again`, () => {
    return provider.life !== life || !provider.isUp || world.checks.registry.lists(provider);
  });
}

async function registryKept(world, dice) {
  world.note("r crashes, but keeps what it knows");
  world.registry.crashKeeping(dice.oneOf(["refuses", "swallows"]));
  await world.sleep(dice.oneOf([dice.between(0, 5_000), dice.between(0, 3 * world.ttlMs)]));
  world.checks.disturbed();
  world.registry.bootKept();
}

/** The registry's machine loses power and comes back with its disk, on which a byte may have changed. */
async function registryFromDisk(world, dice) {
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

async function registryStalls(world, dice) {
  world.note("r stands still");
  world.network.count("registry stall");
  world.registry.process.pause(dice.chance(0.5));
  await world.sleep(dice.oneOf([dice.between(100, 4_000), dice.between(world.ttlMs, 3 * world.ttlMs)]));
  world.registry.process.resume();
  world.note("r goes on");
  await world.sleep(dice.between(0, world.ttlMs));
}

async function registryLongGone(world, dice) {
  const answer = dice.oneOf(["refuses", "swallows"]);
  world.note(`r is gone for long and ${answer}`);
  world.registry.crash(answer);
  await world.sleep(dice.between(5, 40) * 60_000);
  world.registry.boot();
}

async function providerCrashes(world, dice) {
  const provider = upOf(world, dice);
  if (!provider) return;
  provider.kill(dice.chance(0.3));
  await world.sleep(dice.between(0, 2 * world.ttlMs));
  if (dice.chance(0.8)) provider.start();
}

/** A new life on the same address, and the old one's goodbye comes late or never. */
async function providerRestartsFast(world, dice) {
  const provider = upOf(world, dice);
  if (!provider) return;
  const { process } = provider.life;
  if (dice.chance(0.7)) {
    world.network.delayNext(provider.host, REGISTRY, dice.between(200, 10_000));
    provider.stop();
    await world.sleep(dice.between(0, 300));
    process.kill();
  } else provider.kill();
  world.network.count("fast restart");
  await world.sleep(dice.between(10, 500));
  provider.start();
  await world.sleep(dice.between(0, 15_000));
}

/** A zombie: nobody heard of it for longer than its ttl, and it does not know. */
async function providerPauses(world, dice) {
  const provider = upOf(world, dice);
  if (!provider) return;
  provider.pause(dice.chance(0.5));
  await world.sleep(dice.oneOf([dice.between(100, world.ttlMs), world.ttlMs * dice.between(1, 3)]));
  world.checks.disturbed();
  provider.resume();
  seenAgain(world, provider, 0, "P-8");
  await world.sleep(world.beatMs + 2_000);
}

async function providerLeaves(world, dice) {
  const provider = upOf(world, dice);
  if (!provider) return;
  provider.stop();
  await world.sleep(dice.between(0, 2 * world.ttlMs));
  if (dice.chance(0.8)) provider.start();
}

async function providerChanges(world, dice) {
  const provider = upOf(world, dice);
  if (!provider) return;
  world.note(`${provider.host} changes its weight`);
  const { agent } = provider.life;
  agent.update({ weight: dice.whole(1, 9) }).catch(() => {});
  await world.sleep(dice.between(0, 100));
  if (dice.chance(0.5)) agent.update({ weight: dice.whole(1, 9) }).catch(() => {});
}

/** It changes what it tells of itself while it cannot be heard, for longer than it tries at first. */
async function changeWhileAway(world, dice) {
  const provider = upOf(world, dice);
  if (!provider) return;
  world.note(`${provider.host} is cut off, and changes its weight`);
  world.network.cut(provider.host, REGISTRY);
  provider.life.agent.update({ weight: dice.whole(1, 9) }).catch(() => {});
  await world.sleep(dice.between(0, 0.8 * world.ttlMs));
}

/** One host loses the registry, or several do: in one direction, or in both. */
async function cut(world, dice) {
  const hosts = [...world.providers, ...world.consumers].map(({ host }) => host);
  const share = dice.oneOf([0.2, 0.6, 1]);
  for (const host of hosts) {
    if (!dice.chance(share)) continue;
    const ways = dice.oneOf(["out", "back", "both"]);
    world.note(`${host} is cut off: ${ways}`);
    if (ways !== "back") world.network.cut(host, REGISTRY);
    if (ways !== "out") world.network.cut(REGISTRY, host);
  }
  await world.sleep(dice.oneOf([dice.between(500, 5_000), dice.between(0, 3 * world.ttlMs)]));
}

async function foulWeather(world, dice) {
  const worst = dice.oneOf([0.02, 0.1, 0.3]);
  const share = () => (dice.chance(0.6) ? dice.between(0, worst) : 0);
  const [drop, duplicate, spike, skip, double, swap] = [share(), share(), share(), share(), share(), share()];
  const spikeMs = dice.oneOf([100, 2_000, 10_000]);
  world.network.weather = { drop, duplicate, spike, skip, double, swap, leastMs: 0.2, mostMs: 50, spikeMs };
  world.note(`foul weather: ${JSON.stringify(world.network.weather)}`);
  const until = world.now + dice.between(1, 5) * world.ttlMs;
  while (world.now < until) {
    await world.sleep(dice.between(0, world.ttlMs));
    await dice.oneOf([providerLeaves, providerRestartsFast, providerChanges, nothing])(world, dice);
  }
}

async function nothing() {}

/** Nothing is lost, but many messages are late: answers overtake each other. */
async function slowNetwork(world, dice) {
  world.note("slow network");
  const spikeMs = dice.oneOf([1_000, 2_500, 5_000]);
  world.network.weather = { ...CALM, spike: dice.between(0.2, 0.6), spikeMs, duplicate: dice.oneOf([0, 0.2]) };
  for (let turn = dice.whole(2, 5); turn > 0; turn--) {
    await dice.oneOf([providerRestartsFast, providerLeaves])(world, dice);
    await world.sleep(dice.between(0, world.beatMs));
  }
}

/** Nothing is lost, but what providers tell of themselves overtakes what they told before. */
async function slowChanges(world, dice) {
  world.note("slow network, and changes");
  world.network.weather = { ...CALM, spike: 0.5, spikeMs: 2_500, duplicate: 0.5 };
  for (let turn = dice.whole(3, 6); turn > 0; turn--) {
    await providerChanges(world, dice);
    await world.sleep(dice.between(0, 2_000));
  }
}

/** Wall clocks are set, by an hour or by ten years: nothing at all may come of it. */
async function wallsStep(world, dice) {
  for (const process of processesOf(world)) {
    if (!dice.chance(0.5)) continue;
    process.wallOffMs += dice.oneOf([-1, 1]) * dice.oneOf([HOUR_MS, 10 * YEAR_MS]);
    world.network.count("wall step");
  }
  world.note("wall clocks are set");
  await world.sleep(dice.between(0, 2 * world.ttlMs));
}

/** One machine is suspended: for a moment, or for longer than any lease. */
async function machineSleeps(world, dice) {
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

/** It goes on serving providers, and tells readers what is not so; meanwhile somebody, or everybody, may die. */
async function registryLies(world, dice) {
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

/** All providers lose the registry, or most, or a few; consumers see both. */
async function registryCutOff(world, dice) {
  const share = dice.oneOf([1, 0.6, 0.2]);
  world.note(`r is cut off from ${share * 100} % of providers`);
  for (const { host } of world.providers) {
    if (!dice.chance(share)) continue;
    world.network.cut(host, REGISTRY);
    world.network.cut(REGISTRY, host);
  }
  await world.sleep(world.ttlMs * dice.between(0.8, 3));
}

async function everybodyDies(world, dice) {
  const withMachine = dice.chance(0.5);
  for (const provider of world.providers) if (provider.isUp) provider.kill(withMachine);
  await world.sleep(dice.between(0, 5 * world.ttlMs));
}

async function rollingRestart(world, dice) {
  world.note("rolling restart");
  const gapMs = dice.between(50, 3_000);
  for (const provider of world.providers) {
    if (!provider.isUp) continue;
    provider.stop();
    await world.sleep(gapMs);
    provider.start();
    await world.sleep(gapMs);
  }
}

async function rollingRestartWithoutRegistry(world, dice) {
  world.registry.crash("refuses");
  const rolling = rollingRestart(world, dice);
  await world.sleep(dice.between(0, 10_000));
  world.registry.boot();
  await rolling;
}

async function consumerRestarts(world, dice) {
  const consumer = dice.oneOf(world.consumers);
  if (dice.chance(0.5)) {
    world.note(`${consumer.host} is paused`);
    world.network.count("consumer pause");
    consumer.process.pause();
    await world.sleep(dice.between(100, 2 * world.ttlMs));
    consumer.process.resume();
  }
  if (dice.chance(0.5)) consumer.start();
}

/** Several at once. */
async function everything(world, dice) {
  const others = [
    foulWeather,
    cut,
    providerCrashes,
    providerRestartsFast,
    providerPauses,
    providerLeaves,
    rollingRestart,
    registryCutOff,
  ];
  const registry = dice.oneOf([
    registryEmpty,
    registryKept,
    registryStalls,
    registryLongGone,
    registryLies,
    registryFromDisk,
  ]);
  const acts = [registry, ...others.filter(() => dice.chance(0.4))];
  const disturbing = setInterrupting(world);
  await Promise.all(
    acts.map(async (act) => {
      await world.sleep(dice.between(0, world.ttlMs));
      await act(world, dice);
    }),
  );
  disturbing.end();
}

/** Nothing of what one act expects holds while others go on. */
function setInterrupting(world) {
  let isOver = false;
  const disturb = () => {
    if (isOver) return;
    world.checks.disturbed();
    world.scheduler.after(500, disturb);
  };
  disturb();
  return {
    end() {
      isOver = true;
    },
  };
}

function upOf(world, dice) {
  const up = world.providers.filter(({ isUp }) => isUp);
  return up.length === 0 ? undefined : dice.oneOf(up);
}
