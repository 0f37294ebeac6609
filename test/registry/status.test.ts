import assert from "node:assert/strict";
import { describe, it } from "vitest";
import type { Lease } from "../../src/index.js";
import { publishedStatus } from "../../src/registry/status.js";
import { ManualClock } from "../../src/testing/index.js";
import { diary, signal, stage } from "./stage.js";

describe("publishedStatus", () => {
  it("is the worse of what is declared and what is seen", () => {
    const order = ["healthy", "unstable", "draining", "failed"];
    for (const declared of ["healthy", "draining"] as const) {
      for (const beats of ["healthy", "unstable"] as const) {
        for (const probes of ["healthy", "unstable", "failed"] as const) {
          const worst = Math.max(...[declared, beats, probes].map((each) => order.indexOf(each)));
          assert.equal(publishedStatus(declared, beats, probes), order[worst], `${declared} ${beats} ${probes}`);
        }
      }
    }
  });

  it("is starting as long as that is declared", () => {
    assert.equal(publishedStatus("starting", "unstable", "failed"), "starting");
  });
});

describe("a memory registry, by beats", () => {
  it("finds an instance unstable as soon as its beat is late, not before", async () => {
    const { clock, register, statuses } = stage();
    await register(1);
    await clock.advance(15_000); // one and a half intervals
    assert.deepEqual(await statuses(), ["healthy"]);
    await clock.advance(500);
    assert.deepEqual(await statuses(), ["unstable"]);
  });

  it("finds a beat late that comes between two looks", async () => {
    const { clock, register, beat, statuses } = stage({}, new ManualClock(1_200));
    const lease = await register(1);
    await clock.advance(15_100);
    assert.deepEqual(await statuses(), ["healthy"]);
    await beat(lease);
    assert.deepEqual(await statuses(), ["unstable"]);
  });

  it("finds it healthy again after three beats in time", async () => {
    const { clock, register, beat, statuses } = stage();
    const lease = await register(1);
    await clock.advance(20_000);
    const seen: (string | undefined)[] = [];
    for (let count = 0; count < 4; count++) {
      await beat(lease);
      seen.push((await statuses())[0]);
      await clock.advance(10_000);
    }
    assert.deepEqual(seen, ["unstable", "unstable", "unstable", "healthy"]);
  });

  it("begins to count anew when another beat is late", async () => {
    const { clock, register, beat, statuses } = stage();
    const lease = await register(1);
    for (const pauseMs of [20_000, 10_000, 10_000, 20_000, 10_000, 10_000]) {
      await clock.advance(pauseMs);
      await beat(lease);
    }
    assert.deepEqual(await statuses(), ["unstable"]);
    await clock.advance(10_000);
    await beat(lease);
    assert.deepEqual(await statuses(), ["healthy"]);
  });

  it("blames nobody for the time in which it stood still itself", async () => {
    const { clock, register, beating, beat, statuses } = stage();
    const lease = await register(1);
    await beating([lease], 10_000);
    await clock.advance(5_000);
    await clock.stall(60_000);
    assert.deepEqual(await statuses(), ["healthy"]);
    await beat(lease);
    assert.deepEqual(await statuses(), ["healthy"]);
  });

  it("leaves what is declared as it is, where that is worse", async () => {
    const { clock, register, beat, statuses } = stage();
    const lease = await register(1);
    await register(2, { status: "starting" });
    await beat(lease, "draining");
    await clock.advance(20_000);
    assert.deepEqual(await statuses(), ["draining", "starting"]);
  });

  it("raises the revision and wakes watchers with the change, and not with the beats", async () => {
    const { clock, registry, register, beat } = stage();
    const lease = await register(1);
    const watch = registry.watch("orders", { signal });
    await watch.next();
    const changed = watch.next();
    await clock.advance(16_000);
    const { value } = await changed;
    assert.equal(value.type === "change" && value.upserted[0]?.status, "unstable");
    assert.equal(registry.revision, 2);
    await beat(lease);
    await beat(lease);
    assert.equal(registry.revision, 2);
  });

  it("takes no registration's word for what only others can see", async () => {
    const { register, registry, statuses } = stage();
    const lease = await register(1, { status: "failed" });
    assert.deepEqual(await statuses(), ["healthy"]);
    await registry.renew([{ lease, status: "draining" }]);
    await registry.update(lease, { ...lease.instance, status: "unstable" });
    assert.deepEqual(await statuses(), ["draining"]);
  });
});

describe("a memory registry, by probes", () => {
  it("takes an instance off the list that fails, and leaves it its lease", async () => {
    const { registry, register, beat, statuses } = stage();
    const lease = await register(1);
    registry.observe(lease.id, "failed");
    assert.deepEqual(await statuses(), []);
    assert.equal(registry.size, 1);
    assert.equal(registry.lease(lease.id)?.instance.status, "failed");
    const { unknown, statuses: published } = await beat(lease);
    assert.deepEqual(unknown, []);
    assert.equal(published?.get(lease.id), "failed");
    assert.deepEqual(
      registry.failed("orders").map(({ id, status }) => [id, status]),
      [[lease.instance.id, "failed"]],
    );
  });

  it("tells watchers why", async () => {
    const { registry, register } = stage();
    const lease = await register(1);
    const watch = registry.watch("orders", { signal });
    await watch.next();
    registry.observe(lease.id, "failed");
    const { value } = await watch.next();
    assert.deepEqual(value.removed, [{ id: lease.instance.id, reason: "probe_failed" }]);
  });

  it("lists it again in the same life once it answers", async () => {
    const { registry, register, statuses } = stage();
    const lease = await register(1);
    registry.observe(lease.id, "failed");
    registry.observe(lease.id, "healthy");
    assert.deepEqual(await statuses(), ["healthy"]);
    assert.equal(registry.lease(lease.id)?.instance.incarnation, lease.instance.incarnation);
    assert.deepEqual(registry.failed("orders"), []);
  });

  it("keeps late beats and slow probes apart, and publishes the worse", async () => {
    const { clock, registry, register, beat, statuses } = stage();
    const lease = await register(1);
    registry.observe(lease.id, "unstable");
    await clock.advance(20_000);
    registry.observe(lease.id, "healthy");
    assert.deepEqual(await statuses(), ["unstable"]);
    registry.observe(lease.id, "unstable");
    for (let count = 0; count < 4; count++) {
      await beat(lease);
      await clock.advance(10_000);
    }
    assert.deepEqual(await statuses(), ["unstable"]);
    registry.observe(lease.id, "healthy");
    assert.deepEqual(await statuses(), ["healthy"]);
  });

  const ends: Readonly<Record<string, (on: ReturnType<typeof stage>, lease: Lease) => Promise<unknown>>> = {
    "is deregistered": ({ registry }, lease) => registry.deregister(lease),
    "runs out": ({ clock }) => clock.advance(31_000),
  };
  for (const [name, end] of Object.entries(ends)) {
    it(`tells no second removal of one that failed and then ${name}`, async () => {
      const on = stage();
      const lease = await on.register(1);
      on.registry.observe(lease.id, "failed");
      const told = diary(on.registry);
      const { revision } = on.registry;
      await end(on, lease);
      assert.equal(on.registry.size, 0);
      assert.equal(on.registry.revision, revision);
      assert.deepEqual(told, []);
      assert.equal((await on.beat(lease)).unknown.length, 1);
    });
  }

  it("lets a failed instance register anew on its own address, and nobody take its id on another", async () => {
    const { registry, register, statuses } = stage();
    const lease = await register(1, { id: "one" });
    registry.observe(lease.id, "failed");
    await assert.rejects(register(2, { id: "one" }), /ID_CONFLICT/);
    await register(1, { id: "one" });
    assert.deepEqual(await statuses(), ["healthy"]);
    assert.deepEqual(registry.failed("orders"), []);
  });

  it("changes an unlisted instance without listing it", async () => {
    const { registry, register, statuses } = stage();
    const lease = await register(1);
    registry.observe(lease.id, "failed");
    await registry.update(lease, { ...lease.instance, weight: 7 });
    assert.deepEqual(await statuses(), []);
    registry.observe(lease.id, "healthy");
    const update = await registry.list("orders");
    assert.equal(update.type === "reset" && update.instances[0]?.weight, 7);
  });

  it("does not care what is seen of a lease that has ended", async () => {
    const { registry, register } = stage();
    const lease = await register(1);
    await registry.deregister(lease);
    registry.observe(lease.id, "healthy");
    registry.observe("nobody's", "failed");
    assert.equal(registry.revision, 2);
  });

  it("remembers over all who asked to be probed", async () => {
    const { registry, register } = stage();
    const health = { path: "/health", intervalMs: 10_000, timeoutMs: 2_000, failures: 3 };
    const lease = await register(1);
    await registry.register(lease.instance, { ttlMs: 30_000, health, signal });
    await register(2);
    assert.deepEqual(
      registry.checks().map((check) => [check.lease.instance.port, check.health.path]),
      [[1, "/health"]],
    );
  });
});

describe("a renewal's statuses", () => {
  it("name only whoever is not healthy", async () => {
    const { registry, register, beat } = stage();
    const [good, bad] = [await register(1), await register(2)];
    assert.equal((await beat(good)).statuses, undefined);
    registry.observe(bad.id, "unstable");
    const { statuses } = await registry.renew([{ lease: good }, { lease: bad }]);
    assert.deepEqual([...(statuses ?? [])], [[bad.id, "unstable"]]);
  });
});
