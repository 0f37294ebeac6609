import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { defineInstance, type Lease, memoryRegistry } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";

const signal = new AbortController().signal;

describe("memoryRegistry", () => {
  it("goes on with the lease of a holder that registers once more, and believes what is newest of it", async () => {
    const { registry } = make();
    const of = (holder: string, weight: number, edition: number) => {
      const instance = defineInstance({ service: "orders", host: "127.0.0.1", port: 3_000, weight });
      return registry.register(instance, { ttlMs: 30_000, holder, edition, signal });
    };
    const first = await of("a secret of mine", 1, 0);
    const again = await of("a secret of mine", 2, 1);
    const late = await of("a secret of mine", 1, 0);
    assert.deepEqual([again.id, late.id], [first.id, first.id]);
    assert.deepEqual([late.instance.weight, late.instance.incarnation], [2, first.instance.incarnation]);
    assert.notEqual((await of("another's secret", 1, 0)).id, first.id);
  });

  it("does not take back a holder in whose place a newer one lives, until that one's lease ends", async () => {
    const { registry, clock } = make();
    const of = (holder: string) => {
      const instance = defineInstance({ service: "orders", host: "127.0.0.1", port: 3_000 });
      return registry.register(instance, { ttlMs: 30_000, holder, signal });
    };
    await of("the older of two");
    await of("the newer of two");
    await assert.rejects(of("the older of two"), { code: "ID_CONFLICT" });
    await clock.advance(31_000);
    await of("the older of two");
  });

  it("does not list a holder that has left, however late its registration comes", async () => {
    const { registry } = make();
    const instance = defineInstance({ service: "orders", host: "127.0.0.1", port: 3_000 });
    const lease = await registry.register(instance, { ttlMs: 30_000, holder: "it says goodbye", signal });
    await registry.deregister(lease);
    await assert.rejects(registry.register(instance, { ttlMs: 30_000, holder: "it says goodbye", signal }), {
      code: "REJECTED",
    });
    assert.equal(registry.size, 0);
  });

  it("does not undo an update by an older one that comes later", async () => {
    const { registry, register } = make();
    const lease = await register(3_000);
    const weighing = (weight: number) => defineInstance({ ...lease.instance, weight });
    await registry.update(lease, weighing(5), { edition: 2 });
    const { instance } = await registry.update(lease, weighing(3), { edition: 1 });
    assert.equal(instance.weight, 5);
  });

  it("evicts nobody who could not renew while it stood still", async () => {
    const { clock, registry, register } = make();
    await register(3_000);
    await clock.advance(5_000);
    await clock.stall(60_000);
    assert.equal(registry.size, 1);
    await clock.advance(23_000);
    assert.equal(registry.size, 1);
    await clock.advance(3_000);
    assert.equal(registry.size, 0);
  });

  it("keeps a thousand leases apart, each to its second", async () => {
    const { clock, registry, register } = make();
    for (let port = 1; port <= 1_000; port++) await register(port, 3_000 + port * 100, `orders-a${port % 100}`);
    for (let second = 1; second <= 110; second++) {
      await clock.advance(1_000);
      const due = Math.max(0, Math.min(1_000, Math.floor((second * 1_000 - 3_000) / 100)));
      assert.ok(
        registry.size <= 1_000 - due + 10 && registry.size >= 1_000 - due,
        `${registry.size} after ${second} s`,
      );
    }
  });

  it("says warming until it can know who is there, and then tells its watchers", async () => {
    const { clock, registry } = make({ warmingMs: 30_000 });
    const seen: (boolean | undefined)[] = [];
    const watch = registry.watch("orders", { signal });
    const first = await watch.next();
    seen.push(first.value.warming);
    const next = watch.next();
    await clock.advance(30_000);
    seen.push((await next).value.warming);
    assert.deepEqual(seen, [true, false]);
  });

  it("never answers that nothing changed while it warms up", async () => {
    const { registry, register } = make({ warmingMs: 30_000 });
    await register(3_000);
    const update = await registry.list("orders");
    const position = update.type === "reset" ? update.position : undefined;
    assert.equal((await registry.list("orders", { since: position })).type, "reset");
  });

  it("gives a watcher that was away too long the whole list instead of a gap", async () => {
    const { registry, register } = make();
    await register(1);
    const update = await registry.list("orders");
    const since = update.type === "reset" ? update.position : undefined;
    for (let round = 0; round < 2_500; round++) await register(1);
    assert.equal((await registry.list("orders", { since })).type, "reset");
  });

  it("tells a watcher that comes back what it has missed, and nothing else", async () => {
    const { registry, register } = make();
    await register(1);
    const update = await registry.list("orders");
    const since = update.type === "reset" ? update.position : undefined;
    await register(2);
    const missed = await registry.list("orders", { since });
    assert.deepEqual(missed.type === "change" && missed.upserted.map(({ port }) => port), [2]);
  });

  it("remembers for five minutes who failed, and why a late beat is unknown", async () => {
    const { clock, registry, register } = make();
    const lease = await register(3_000, 3_000);
    await clock.advance(5_000);
    assert.deepEqual(
      registry.failed("orders").map(({ status }) => status),
      ["failed"],
    );
    assert.equal((await registry.renew([{ lease }])).unknown[0]?.reason, "expired");
    await clock.advance(300_000);
    assert.deepEqual(registry.failed("orders"), []);
  });

  it("numbers every change, and no beat", async () => {
    const { registry, register } = make();
    const lease = await register(3_000);
    assert.equal(registry.revision, 1);
    await registry.renew([{ lease }, { lease, status: "healthy" }]);
    assert.equal(registry.revision, 1);
    await registry.deregister(lease);
    assert.equal(registry.revision, 2);
  });

  it("refuses a ttl out of range, and everything once closed", async () => {
    const { registry, register } = make();
    await assert.rejects(register(1, 2_999), /ttlMs must be a number from 3000 to 86400000, got 2999/);
    await registry.close();
    await assert.rejects(register(1), /was closed \(CLOSED\)/);
  });
});

function make(options: { warmingMs?: number } = {}) {
  const clock = new ManualClock();
  const registry = memoryRegistry({ clock, warmingMs: 0, ...options });
  const register = async (port: number, ttlMs = 30_000, service = "orders"): Promise<Lease> =>
    registry.register(defineInstance({ service, host: "127.0.0.1", port }), { ttlMs, signal });
  return { clock, registry, register };
}
