import { machineSleeps, wallsStep } from "./acts-clocks.mjs";
import { consumerColdStart, consumerRestarts } from "./acts-consumers.mjs";
import {
  everybodyDiesWhileWarming,
  registryCutOff,
  registryEmpty,
  registryEmptyUnseen,
  registryFromDisk,
  registryKept,
  registryLies,
  registryLongGone,
  registrySeenForAMoment,
  registryStalls,
  registryUnreached,
} from "./acts-registry.mjs";
import { seenAgain, upOf } from "./expected.mjs";
import { CALM } from "./network.mjs";
import { REGISTRY } from "./nodes.mjs";

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
  { name: "consumer-cold-start", weight: 2, play: consumerColdStart },
  { name: "walls-step", weight: 1, play: wallsStep },
  { name: "machine-sleeps", weight: 2, play: machineSleeps },
  { name: "registry-lies", weight: 5, play: registryLies },
  { name: "registry-unreached", weight: 2, play: registryUnreached },
  { name: "registry-seen-for-a-moment", weight: 1, play: registrySeenForAMoment },
  { name: "registry-cut-off", weight: 2, play: registryCutOff },
  { name: "everybody-dies", weight: 1, play: everybodyDies },
  { name: "everybody-dies-while-warming", weight: 1, play: everybodyDiesWhileWarming },
  { name: "leaves-soon", weight: 1, play: leavesSoon },
  { name: "slow-changes", weight: 1, play: slowChanges },
  { name: "everything", weight: 2, play: everything },
];

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

/** A life so short that its own doubled registration may come after its goodbye. */
async function leavesSoon(world, dice) {
  const provider = upOf(world, dice);
  if (!provider) return;
  provider.kill();
  world.network.weather = { ...CALM, duplicate: 1, spike: 0.5, spikeMs: 10_000 };
  provider.start();
  await world.sleep(dice.between(500, 4_000));
  provider.stop();
  await world.sleep(12_000);
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
    registryUnreached,
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
