import assert from "node:assert/strict";
import { DiscoveryError, type ErrorCode } from "../model/errors.js";
import type { Lease } from "../registry/registry.js";
import type { Stage, Stories, Story } from "./contract-stage.js";

const MANY = 99;

/** What a registry promises though its server is killed and begins anew, empty. */
const RESTART: Stories = {
  "knows no lease of the life before, and takes everyone back": async (stage) => {
    const lease = await stage.register();
    await stage.faults.restart?.();
    assert.deepEqual(
      (await stage.registry.renew([{ lease }], stage)).unknown.map((each) => each.lease.id),
      [lease.id],
    );
    await stage.register();
    assert.deepEqual(await stage.ids(), [stage.id()]);
  },
  "takes no position of the life before for its own": async (stage) => {
    await stage.register();
    const before = await stage.list();
    await stage.faults.restart?.();
    await stage.register({ weight: 3 });
    const after = await stage.list(before.type === "reset" ? before.position : undefined);
    assert.deepEqual(after.type === "reset" && after.instances.map(({ weight }) => weight), [3]);
  },
  "goes on with a watch that begins again after the server did": async (stage) => {
    for (let port = 3_000; port < 3_020; port++) await stage.register({ port });
    const before = stage.watch();
    await before.until(20);
    await stage.faults.restart?.();
    const after = stage.watch(stage.signal, before.position, before.known);
    await stage.register({ port: 4_000 });
    while (after.get(stage.id(4_000)) === undefined) await after.next();
    assert.deepEqual(after.known, [stage.id(4_000)]);
  },
};

const SPOIL: Stories = {
  "leaves out one unreadable record of a hundred, and counts it": async (stage) => {
    const all: Promise<Lease>[] = [];
    for (let port = 3_000; port < 3_000 + MANY; port++) all.push(stage.register({ port }));
    await Promise.all(all);
    await stage.faults.spoil?.(stage.service);
    const update = await stage.list();
    assert.equal(update.type === "reset" && update.instances.length, MANY);
    assert.equal(update.type === "reset" && update.invalid, 1);
  },
};

const TRUNCATE: Stories = {
  "takes half an answer for an error, never for a list": async (stage) => {
    await stage.register();
    await withFault(stage.faults.truncate, async () => {
      await rejects(stage.list(), "PROTOCOL", "UNAVAILABLE");
      await rejects(untilItFails(stage), "PROTOCOL", "UNAVAILABLE");
    });
    assert.deepEqual(await stage.ids(), [stage.id()]);
  },
};

const SILENCE: Stories = {
  "gives up what is not answered as soon as its signal aborts": async (stage) => {
    const lease = await stage.register();
    assert.ok(Number.isFinite(stage.registry.capabilities.quietMs), "it says how long its watch may be silent");
    await withFault(stage.faults.silence, async () => {
      const halt = new AbortController();
      const { signal } = halt;
      const watch = stage.watch(signal);
      const calls = [
        watch.next(),
        stage.registry.list(stage.service, { signal }),
        stage.registry.renew([{ lease }], { signal }),
        stage.registry.register(stage.instance(), { ttlMs: stage.ttlMs, signal }),
      ].map((call) => assert.rejects(Promise.resolve(call), /enough/));
      halt.abort(new Error("enough"));
      await Promise.all(calls);
    });
    assert.deepEqual(await stage.ids(), [stage.id()]);
  },
};

const FORBID: Stories = { "says that it may not, whatever is asked": refused("forbid", "UNAUTHORIZED") };

const OVERLOAD: Stories = { "says that it is too much, as something to try again": refused("overload", "OVERLOADED") };

/** The stories of each fault. */
export const FAULTS = {
  restart: RESTART,
  spoil: SPOIL,
  truncate: TRUNCATE,
  silence: SILENCE,
  forbid: FORBID,
  overload: OVERLOAD,
} as const satisfies Record<string, Stories>;

/** Whatever is asked is refused with that code, and all is well when that is over. */
function refused(fault: "forbid" | "overload", code: ErrorCode): Story {
  return async (stage) => {
    await withFault(stage.faults[fault], async () => {
      await rejects(stage.list(), code);
      await rejects(stage.register(), code);
      await rejects(untilItFails(stage), code);
    });
    await stage.register();
    assert.deepEqual(await stage.ids(), [stage.id()]);
  };
}

async function withFault(begin: (() => () => void) | undefined, story: () => Promise<void>): Promise<void> {
  const end = begin?.();
  try {
    await story();
  } finally {
    end?.();
  }
}

async function untilItFails(stage: Stage): Promise<never> {
  const watch = stage.watch();
  for (;;) await watch.next();
}

function rejects(call: Promise<unknown>, ...codes: readonly ErrorCode[]): Promise<void> {
  return assert.rejects(call, (error) => codes.some((code) => DiscoveryError.is(error, code)));
}
