import assert from "node:assert/strict";
import { DiscoveryError } from "../model/errors.js";
import type { Lease } from "../registry/registry.js";
import type { Stories } from "./contract-stage.js";

/** What every registry promises those who register. */
export const LEASES: Stories = {
  "lists what was registered, with every field": async (stage) => {
    const fields = { weight: 2.5, zone: "eu-1", version: "v1.2", tags: ["blue"], metadata: { env: "prod" } };
    await stage.register({ host: "::1", protocol: "https", ...fields });
    const [instance] = await stage.instances();
    assert.equal(instance?.id, `${stage.service}@[::1]:3000`);
    assert.deepEqual(
      { ...instance, metadata: { ...instance?.metadata } },
      { ...instance, ...fields, protocol: "https", host: "::1", port: 3_000, status: "healthy" },
    );
  },
  "loses nothing of what an instance may say of itself": async (stage) => {
    const metadata = { "a.b/c": "döts", zone: "not the zone", "mcp-life": "not the life", empty: "" };
    await stage.register({ weight: 0.25, tags: ["a b", "é"], metadata });
    const [instance] = await stage.instances();
    assert.equal(instance?.weight, 0.25);
    assert.deepEqual(instance?.tags, ["a b", "é"]);
    assert.deepEqual({ ...instance?.metadata }, metadata);
  },
  "answers with the ttl and the beat interval that hold": async (stage) => {
    const lease = await stage.register();
    assert.ok(lease.ttlMs >= stage.ttlMs);
    assert.ok(lease.heartbeatMs > 0 && lease.heartbeatMs < lease.ttlMs);
  },
  "reads its own writes": async (stage) => {
    const leases: Lease[] = [];
    for (let port = 3_000; port < 3_005; port++) leases.push(await stage.register({ port }));
    assert.equal((await stage.ids()).length, 5);
    await stage.registry.deregister(leases[2] as Lease, { signal: stage.signal });
    assert.ok(!(await stage.ids()).includes(stage.id(3_002)));
  },
  "keeps one record when the answer to a registration is lost and it is sent again": async (stage) => {
    await stage.register();
    const again = await stage.register();
    assert.deepEqual(await stage.ids(), [stage.id()]);
    assert.deepEqual((await stage.registry.renew([{ lease: again }], stage)).unknown, []);
  },
  "gives each life of an id another incarnation": async (stage) => {
    await stage.register();
    const [first] = await stage.instances();
    await stage.register();
    const [second] = await stage.instances();
    assert.notEqual(first?.incarnation, second?.incarnation);
  },
  "takes a second deregistration as the first": async (stage) => {
    const lease = await stage.register();
    await stage.registry.deregister(lease, stage);
    await stage.registry.deregister(lease, stage);
    assert.deepEqual(await stage.ids(), []);
  },
  "names the leases it does not know, and renews the others": async (stage) => {
    const gone = await stage.register({ port: 3_001 });
    const alive = await stage.register({ port: 3_002 });
    await stage.registry.deregister(gone, stage);
    const { unknown } = await stage.registry.renew([{ lease: gone }, { lease: alive }], stage);
    assert.deepEqual(
      unknown.map(({ lease }) => lease.id),
      [gone.id],
    );
  },
  "publishes an update and keeps the life": async (stage) => {
    const lease = await stage.register();
    const [before] = await stage.instances();
    await stage.registry.update(lease, stage.instance({ weight: 7, metadata: { env: "test" } }), stage);
    const [after] = await stage.instances();
    assert.equal(after?.weight, 7);
    assert.equal(after?.metadata["env"], "test");
    assert.equal(after?.incarnation, before?.incarnation);
  },
  "refuses to update a lease it does not know": async (stage) => {
    const lease = await stage.register();
    await stage.registry.deregister(lease, stage);
    await assert.rejects(stage.registry.update(lease, stage.instance({ weight: 2 }), stage), (error) =>
      DiscoveryError.is(error, "LEASE_LOST"),
    );
  },
  "publishes the status a heartbeat declares, and takes it back": async (stage) => {
    const lease = await stage.register();
    for (const status of ["draining", "starting", "healthy"] as const) {
      await stage.registry.renew([{ lease, status }], stage);
      const told = await stage.instances();
      assert.deepEqual(
        told.map((each) => each.status),
        [status],
      );
    }
  },
};

const LONG = { long: "ü".repeat(1_000), long2: "ü".repeat(1_000) };

/** What those promise that hold as much metadata as an instance may have. */
export const WITH_ROOM: Stories = {
  "holds long metadata, and loses nothing of it": async (stage) => {
    await stage.register({ metadata: LONG });
    const [instance] = await stage.instances();
    assert.deepEqual({ ...instance?.metadata }, LONG);
  },
};

/** And what comes of it where they do not. */
export const WITHOUT_ROOM: Stories = {
  "refuses metadata that is too long for it, and says that this is why": async (stage) => {
    await assert.rejects(stage.register({ metadata: LONG }), (error) => {
      return DiscoveryError.is(error, "REJECTED") && /metadata/i.test(error.message);
    });
    assert.deepEqual(await stage.ids(), []);
  },
};

/** What those promise that tell two lives of one id apart. */
export const WITH_FENCING: Stories = {
  "tells the older of two holders on one address that it was replaced": async (stage) => {
    const older = await stage.register();
    const newer = await stage.register();
    const { unknown } = await stage.registry.renew([{ lease: older }, { lease: newer }], stage);
    assert.deepEqual(
      unknown.map(({ lease, reason }) => [lease.id, reason]),
      [[older.id, "replaced"]],
    );
  },
  "removes nobody for the late deregistration of an earlier life": async (stage) => {
    const older = await stage.register();
    await stage.register();
    await stage.registry.deregister(older, stage);
    assert.deepEqual(await stage.ids(), [stage.id()]);
  },
};

/** And what comes of it where they do not. */
export const WITHOUT_FENCING: Stories = {
  "takes the beats of an earlier life for those of the present one": async (stage) => {
    const older = await stage.register();
    const newer = await stage.register();
    const { unknown } = await stage.registry.renew([{ lease: older }, { lease: newer }], stage);
    assert.deepEqual(unknown, []);
  },
};

/** What those promise that keep an id for its live holder. */
export const WITH_CONFLICTS: Stories = {
  "refuses an id that a live instance holds on another address": async (stage) => {
    const id = `${stage.service}-one`;
    await stage.register({ id });
    await assert.rejects(stage.register({ id, port: 4_000 }), (error) => DiscoveryError.is(error, "ID_CONFLICT"));
    assert.deepEqual(
      (await stage.instances()).map(({ port }) => port),
      [3_000],
    );
  },
};

/** And what comes of it where they do not. */
export const WITHOUT_CONFLICTS: Stories = {
  "gives an id to whoever comes last": async (stage) => {
    const id = `${stage.service}-one`;
    await stage.register({ id });
    await stage.register({ id, port: 4_000 });
    assert.deepEqual(
      (await stage.instances()).map(({ port }) => port),
      [4_000],
    );
  },
};
