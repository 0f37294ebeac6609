import assert from "node:assert/strict";
import type { Position } from "../model/update.js";
import type { Stories } from "./contract-stage.js";

const STORM = 100;

/** What every registry promises those who list and watch. */
export const LISTS: Stories = {
  "answers that nothing changed after the position it gave": async (stage) => {
    await stage.register();
    const { position } = (await stage.list()) as { position?: Position };
    assert.equal((await stage.list(position)).type, "current");
    await stage.register({ port: 3_001 });
    assert.notEqual((await stage.list(position)).type, "current");
  },
  "answers a position that is not its own with the whole list": async (stage) => {
    await stage.register();
    const update = await stage.list("another-life:1");
    assert.deepEqual(update.type === "reset" && update.instances.map(({ id }) => id), [stage.id()]);
  },
  "lists the names of its services": async (stage) => {
    const other = `${stage.service}-too`;
    await stage.register();
    await stage.register({ service: other });
    const names = await stage.services();
    assert.deepEqual(
      names.filter((name) => name === stage.service || name === other),
      [stage.service, other],
    );
  },
  "begins a watch with the list and goes on with every change": async (stage) => {
    await stage.register({ port: 3_001 });
    const watch = stage.watch();
    assert.deepEqual(await watch.until(1), [stage.id(3_001)]);
    const second = await stage.register({ port: 3_002 });
    assert.deepEqual(await watch.until(2), [stage.id(3_001), stage.id(3_002)]);
    await stage.registry.deregister(second, stage);
    assert.deepEqual(await watch.until(1), [stage.id(3_001)]);
  },
  "resumes a watch where it was cut, without a gap": async (stage) => {
    await stage.register({ port: 3_001 });
    const cut = new AbortController();
    const first = stage.watch(cut.signal);
    await first.until(1);
    cut.abort();
    for (let port = 3_002; port <= 3_010; port++) await stage.register({ port });
    const resumed = stage.watch(stage.signal, first.position, first.known);
    assert.equal((await resumed.until(10)).length, 10);
  },
  "tells a watcher of a service that did not exist when it began": async (stage) => {
    const watch = stage.watch();
    await watch.next();
    await stage.register();
    assert.deepEqual(await watch.until(1), [stage.id()]);
  },
  "tells the end of a storm of updates": async (stage) => {
    const lease = await stage.register();
    const watch = stage.watch();
    await watch.until(1);
    for (let weight = 1; weight <= STORM; weight++) {
      await stage.registry.update(lease, stage.instance({ weight }), stage);
    }
    while (watch.get(stage.id())?.weight !== STORM) await watch.next();
  },
  "tells two watchers of one service the same": async (stage) => {
    const watches = [stage.watch(), stage.watch()];
    await Promise.all(watches.map((watch) => watch.next()));
    await stage.register();
    assert.deepEqual(await Promise.all(watches.map((watch) => watch.until(1))), [[stage.id()], [stage.id()]]);
  },
  "ends a watch with its signal": async (stage) => {
    const cut = new AbortController();
    const watch = stage.watch(cut.signal);
    await watch.next();
    const next = watch.next();
    cut.abort(new Error("heard enough"));
    await assert.rejects(next, /heard enough|the watch ended/);
  },
};

/** What those promise that know the names of services without instances. */
export const WITH_ABSENCE: Stories = {
  "tells a service without instances from a name it never heard": async (stage) => {
    assert.equal((await stage.list()).type, "absent");
    await stage.registry.deregister(await stage.register(), stage);
    const update = await stage.list();
    assert.deepEqual(update.type === "reset" && update.instances, []);
  },
};

/** And what comes of it where they do not. */
export const WITHOUT_ABSENCE: Stories = {
  "says of a service without instances what it says of a name it never heard": async (stage) => {
    const unheard = await stage.list();
    await stage.registry.deregister(await stage.register(), stage);
    assert.equal((await stage.list()).type, unheard.type);
  },
};

/** What those promise that say why an instance left. */
export const WITH_REASONS: Stories = {
  "says why an instance left": async (stage) => {
    const lease = await stage.register();
    const watch = stage.watch();
    await watch.until(1);
    await stage.registry.deregister(lease, stage);
    await watch.until(0);
    assert.deepEqual(watch.removals, [{ id: stage.id(), reason: "deregistered" }]);
  },
};

/** And what comes of it where they do not. */
export const WITHOUT_REASONS: Stories = {
  "removes an instance without a word about why": async (stage) => {
    const lease = await stage.register();
    const watch = stage.watch();
    await watch.until(1);
    await stage.registry.deregister(lease, stage);
    await watch.until(0);
    assert.ok(watch.removals.every(({ reason }) => reason === undefined));
  },
};

/** What those promise that tell a registry that forgot from one that changed. */
export const WITH_EPOCH: Stories = {
  "names the epoch its answers are of": async (stage) => {
    await stage.register();
    const [first, second] = [await stage.list(), await stage.list()];
    assert.equal(typeof first.epoch, "string");
    assert.equal(second.epoch, first.epoch);
  },
};
