/** What a consumer showed for this long, in milliseconds, is on its disk: a writing follows a change within a second. */
const WRITTEN_MS = 1_500;
/** A consumer that was restarted can call within this, in milliseconds, whoever answers. */
const COLD_START_MS = 20;
/** More than a list on a disk is good for, in milliseconds: 25 hours. */
const TOO_OLD_MS = 25 * 3_600_000;

export async function consumerRestarts(world, dice) {
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

/**
 * A consumer begins anew while no registry answers: with the lists on its disk (C-2), unless a byte of them changed, or
 * they are older than a day; then with nobody (C-12).
 */
export async function consumerColdStart(world, dice) {
  if (!world.hasShelves) return consumerRestarts(world, dice);
  const { registry, checks, slowness } = world;
  const consumer = dice.oneOf(world.consumers);
  await world.sleep(WRITTEN_MS * slowness);
  const kept = new Map(consumer.views.map((view) => [view, isWritten(view, world) ? idsOf(view) : undefined]));
  registry.crashKeeping(dice.oneOf(["refuses", "swallows"]));
  consumer.losesPower(dice.fraction());
  const isSpoilt = dice.chance(0.2) && consumer.spoils(dice.fraction());
  const isOld = dice.chance(0.2);
  await world.sleep(dice.between(0, 3_000));
  checks.disturbed();
  consumer.start(isOld ? TOO_OLD_MS : 0);
  world.network.count("cold start");
  for (const [{ name }, ids] of kept) {
    const shown = isSpoilt || (isOld && ids !== undefined) ? "" : ids;
    beginsWith(
      world,
      consumer.views.find((view) => view.name === name),
      shown,
    );
  }
  await world.sleep(dice.between(50, 5_000) * slowness);
  checks.disturbed();
  if (dice.chance(0.5)) registry.bootKept();
  else registry.boot();
}

/** Whether what it shows is what its disk holds, and its age is known. */
function isWritten({ changedAt, snapshot, process }, { now, slowness }) {
  const isOnDisk = now - changedAt >= WRITTEN_MS * slowness && changedAt > process.wallSetAt;
  return isOnDisk && snapshot.source === "registry" && snapshot.instances.length > 0;
}

function idsOf({ snapshot }) {
  return snapshot.instances.map(({ id, incarnation }) => `${id}#${incarnation}`).join(", ");
}

/** @param kept what it must show, and nothing else; undefined if nobody can say */
function beginsWith({ checks }, view, kept) {
  if (kept === undefined) return;
  const { process } = view;
  checks.expect(
    COLD_START_MS / process.rate,
    kept === "" ? "C-12" : "C-2",
    `${process.host} shows not "${kept}"`,
    () => {
      return idsOf(view) === kept && (kept === "" || view.snapshot.source === "disk");
    },
  );
}
