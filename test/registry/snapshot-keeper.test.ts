import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, it } from "vitest";
import { readSnapshot } from "../../src/registry/snapshot-file.js";
import { ManualClock } from "../../src/testing/index.js";
import { signal, stage } from "./stage.js";

const folder = mkdtempSync(join(tmpdir(), "keeper-"));
let files = 0;
const freshPath = (): string => join(folder, `${files++}.leases`);

afterAll(() => rmSync(folder, { recursive: true }));

describe("memoryRegistry({ snapshot })", () => {
  it("knows its leases again after a restart, in another life of its own", async () => {
    const path = freshPath();
    const before = stage({ snapshot: { path } });
    const [healthy, draining, gone] = [
      await before.register(1),
      await before.register(2, { metadata: { city: "Ulm" } }),
      await before.register(3),
    ];
    await before.beat(draining, "draining");
    await before.registry.deregister(gone);
    await before.registry.close();

    const after = stage({ snapshot: { path }, warmingMs: 30_000 });
    assert.equal(after.registry.counters.restored, 2);
    assert.ok(after.registry.warming);
    assert.notEqual(after.registry.epoch, before.registry.epoch);
    assert.deepEqual(await after.statuses(), ["healthy", "draining"]);
    assert.equal(after.registry.lease(draining.id)?.instance.metadata["city"], "Ulm");
    assert.equal(after.registry.lease(healthy.id)?.instance.incarnation, healthy.instance.incarnation);
    const { unknown } = await after.registry.renew([{ lease: healthy }, { lease: draining }, { lease: gone }]);
    assert.deepEqual(
      unknown.map(({ lease }) => lease.id),
      [gone.id],
    );
    await after.registry.close();
  });

  it("lets nothing run out before its ttl has passed anew, and then guards against a mass of it", async () => {
    const path = freshPath();
    const before = stage({ snapshot: { path } });
    for (let port = 1; port <= 20; port++) await before.register(port);
    await before.clock.advance(29_000);
    await before.registry.close();

    const after = stage({ snapshot: { path } });
    await after.clock.advance(29_900);
    assert.equal(after.registry.size, 20);
    await after.clock.advance(1_100);
    assert.equal(after.registry.size, 17);
    await after.registry.close();
  });

  it("gives no position or incarnation of its former life again", async () => {
    const path = freshPath();
    const before = stage({ snapshot: { path } });
    await before.register(1);
    const old = await before.registry.list("orders");
    await before.registry.close();
    const after = stage({ snapshot: { path } });
    const since = old.type === "reset" ? old.position : undefined;
    assert.equal((await after.registry.list("orders", { since })).type, "reset");
    assert.ok((await after.register(2)).instance.incarnation > 1_000_000);
    await after.registry.close();
  });

  it("goes on probing whoever asked for it", async () => {
    const path = freshPath();
    const health = { path: "/up", intervalMs: 5_000, timeoutMs: 1_000, failures: 2 };
    const before = stage({ snapshot: { path } });
    const { instance } = await before.register(1);
    await before.registry.register(instance, { ttlMs: 30_000, health, signal });
    await before.registry.close();
    const after = stage({ snapshot: { path } });
    assert.deepEqual(after.registry.checks()[0]?.health, health);
    await after.registry.close();
  });

  it("writes a second after a change, once for all changes within it, and not for beats", async () => {
    const path = freshPath();
    const { clock, registry, register, beat } = stage({ snapshot: { path } });
    const lease = await register(1);
    await register(2);
    await clock.advance(999);
    assert.ok(!existsSync(path));
    await clock.advance(1);
    await until(() => existsSync(path));
    assert.equal(readSnapshot(path)?.leases.length, 2);
    rmSync(path);
    await beat(lease);
    await clock.advance(10_000);
    await registry.close();
    assert.ok(!existsSync(path));
  });

  it("tells of a disk that takes nothing, and tries again until it does", async () => {
    const path = join(folder, "later", "leases");
    const { clock, registry, register } = stage({ snapshot: { path } });
    const failures: string[] = [];
    registry.on("snapshotFailed", ({ during, error }) =>
      failures.push(`${during} ${(error as NodeJS.ErrnoException).code}`),
    );
    await register(1);
    await clock.advance(1_000);
    await until(() => failures.length === 1);
    await clock.advance(1_000);
    await until(() => failures.length === 2);
    assert.deepEqual(failures, ["write ENOENT", "write ENOENT"]);
    mkdirSync(join(folder, "later"));
    await clock.advance(1_000);
    await sleep(20);
    assert.ok(!existsSync(path), "longer each time");
    await clock.advance(1_000);
    await until(() => existsSync(path));
    await registry.close();
    assert.equal(clock.pending, 0);
  });

  it("warns the process of what goes wrong if nobody listens", async () => {
    const path = join(folder, "never", "leases");
    const { registry, register } = stage({ snapshot: { path } });
    const warned = new Promise<Error & { code?: string }>((resolve) => process.once("warning", resolve));
    await register(1);
    await registry.close();
    assert.equal((await warned).code, "DISCOVERY_SNAPSHOT");
  });

  const broken: Readonly<Record<string, (path: string) => void>> = {
    "that is torn": (path) => writeFileSync(path, '{"format":"mcp-discovery leases","version":1,"revision":1}\n{"lea'),
    "that is empty": (path) => writeFileSync(path, ""),
    "of another version": (path) => writeFileSync(path, '{"format":"mcp-discovery leases","version":9}\n'),
    "that anybody may write": (path) => chmodSync(path, 0o666),
    "that is a folder": (path) => {
      rmSync(path);
      mkdirSync(path);
    },
  };
  for (const [what, spoil] of Object.entries(broken)) {
    it(`starts empty and says why with a file ${what}`, async () => {
      const path = freshPath();
      const before = stage({ snapshot: { path } });
      await before.register(1);
      await before.registry.close();
      spoil(path);
      const { registry } = stage({ snapshot: { path } });
      const told: string[] = [];
      registry.on("snapshotFailed", ({ during }) => told.push(during));
      await sleep(0);
      assert.deepEqual([registry.size, told], [0, ["read"]]);
      await registry.close();
    });
  }

  it("takes little of the time, however long a writing lasts", async () => {
    const path = freshPath();
    const clock = new ManualClock();
    const { registry, register } = stage({ snapshot: { path, everyMs: 100 } }, clock);
    await register(1);
    await clock.advance(100); // writes
    void clock.stall(1_000); // meanwhile a second goes by
    await until(() => existsSync(path));
    await sleep(20);
    const { mtimeMs } = statSync(path);
    await register(2);
    await clock.advance(5_000);
    await sleep(20);
    assert.equal(statSync(path).mtimeMs, mtimeMs);
    await clock.advance(6_000);
    await until(() => statSync(path).mtimeMs !== mtimeMs);
    await registry.close();
  });

  it("refuses options it does not know", () => {
    assert.throws(() => stage({ snapshot: { path: "" } }), /memoryRegistry\.snapshot\.path must be a path/);
    assert.throws(() => stage({ snapshot: { path: "x", everyMs: 1 } }), /memoryRegistry\.snapshot\.everyMs/);
    assert.throws(() => stage({ snapshot: { path: "x", every: 1 } as never }), /did you mean everyMs/);
  });
});

/** A disk takes its own time. */
async function until(condition: () => boolean): Promise<void> {
  for (let count = 0; count < 500 && !condition(); count++) await sleep(4);
  assert.ok(condition());
}
