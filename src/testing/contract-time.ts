import assert from "node:assert/strict";
import type { Stories } from "./contract-stage.js";

/** A lease outlives its ttl by this much at most, in milliseconds. */
const GRACE_MS = 1_000;

/** What every registry promises about time, where a test can let it pass. */
export const TIME: Stories = {
  "ends a lease at its ttl, never early": async (stage) => {
    const { ttlMs } = await stage.register();
    await stage.pass(ttlMs - stage.precisionMs);
    assert.equal((await stage.ids()).length, 1);
    await stage.pass(GRACE_MS + 2 * stage.precisionMs);
    assert.deepEqual(await stage.ids(), []);
  },
  "keeps a lease that is renewed": async (stage) => {
    const lease = await stage.register();
    for (let beat = 0; beat < 8; beat++) {
      await stage.pass(lease.ttlMs / 3);
      assert.deepEqual((await stage.registry.renew([{ lease }], stage)).unknown, []);
    }
    assert.equal((await stage.ids()).length, 1);
  },
  "lets an instance whose lease ran out register again": async (stage) => {
    const { ttlMs } = await stage.register();
    await stage.pass(ttlMs + GRACE_MS + stage.precisionMs);
    await stage.register();
    assert.deepEqual(
      (await stage.instances()).map(({ status }) => status),
      ["healthy"],
    );
  },
};

/** What those promise that end a lease for good. */
export const ENDED_FOR_GOOD: Stories = {
  "tells a late beat that its lease expired": async (stage) => {
    const lease = await stage.register();
    await stage.pass(lease.ttlMs + GRACE_MS + stage.precisionMs);
    const { unknown } = await stage.registry.renew([{ lease }], stage);
    assert.equal(unknown.length, 1);
    if (stage.registry.capabilities.reasons) assert.equal(unknown[0]?.reason, "expired");
  },
};

/** And what comes of it where they do not. */
export const REVIVED: Stories = {
  "takes an instance back that beats late": async (stage) => {
    const lease = await stage.register();
    await stage.pass(lease.ttlMs + GRACE_MS + stage.precisionMs);
    assert.deepEqual((await stage.registry.renew([{ lease }], stage)).unknown, []);
    const watch = stage.watch(); // the registry may take a moment to pass it on
    do await watch.next();
    while (watch.get(stage.id())?.status !== "healthy");
  },
};
