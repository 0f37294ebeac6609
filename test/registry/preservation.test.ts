import assert from "node:assert/strict";
import { describe, it } from "vitest";
import type { Lease } from "../../src/index.js";
import type { MemoryRegistryOptions } from "../../src/registry/memory-options.js";
import { expiriesAllowed } from "../../src/registry/preservation.js";
import { diary, stage } from "./stage.js";

describe("expiriesAllowed", () => {
  it("is 15 % of a service, and at least one", () => {
    assert.deepEqual([0, 1, 6, 7, 13, 14, 100].map(expiriesAllowed), [1, 1, 1, 1, 1, 2, 15]);
  });
});

describe("a memory registry whose beats stop coming", () => {
  it("lets a single dead instance go at its ttl", async () => {
    const { clock, registry, ports, beating, leases } = await crowd(5);
    await beating(leases.slice(1), 30_000);
    assert.deepEqual(await ports(), [2, 3, 4, 5]);
    assert.equal(registry.counters.preserved, 0);
    await clock.advance(0);
  });

  it("lets so many go in any ten seconds as are plausible, and keeps the others as suspects", async () => {
    const { clock, registry, ports, statuses } = await crowd(100);
    await clock.advance(30_500);
    assert.equal((await ports()).length, 85);
    assert.equal(registry.suspects, 85);
    assert.deepEqual(new Set(await statuses()), new Set(["unstable"]));
    await clock.advance(9_000);
    assert.equal((await ports()).length, 85);
    await clock.advance(1_000);
    assert.equal((await ports()).length, 73); // 15 % of 85
  });

  it("never lets more go in ten seconds, wherever one begins to count", async () => {
    const { clock, registry, register } = stage();
    const sizes: number[] = [];
    for (let port = 1; port <= 100; port++) {
      await register(port);
      await clock.advance(97);
    }
    for (let step = 0; step < 130; step++) {
      sizes.push(registry.size);
      await clock.advance(500);
    }
    for (const [index, size] of sizes.entries()) {
      const later = sizes[Math.min(sizes.length - 1, index + 19)] as number; // 9.5 s
      assert.ok(size - later <= expiriesAllowed(size), `${size} and then ${later}`);
    }
    assert.ok((sizes.at(-1) as number) < 60);
  });

  it("chooses by chance who goes", async () => {
    const gone = async (random: () => number): Promise<number[]> => {
      const { clock, ports } = await crowd(20, { random });
      await clock.advance(30_500);
      const left = await ports();
      return Array.from({ length: 20 }, (_, index) => index + 1).filter((port) => !left.includes(port));
    };
    assert.deepEqual(await gone(() => 0), [1, 2, 3]);
    assert.deepEqual(await gone(() => 0.999), [1, 2, 20]);
  });

  it("ends the suspicion with a beat, and with a registration", async () => {
    const { clock, registry, register, beat, leases, statuses } = await crowd(3);
    await clock.advance(30_500);
    assert.equal(registry.suspects, 2);
    const alive = leases.filter(({ id }) => registry.lease(id));
    await beat(alive[0] as Lease);
    assert.equal(registry.suspects, 1);
    const again = await register((alive[1] as Lease).instance.port);
    assert.equal(again.replaced, true);
    assert.equal(registry.suspects, 0);
    await clock.advance(14_000);
    assert.deepEqual(await statuses(), ["unstable", "healthy"]);
  });

  it("gives the id of a suspect to whoever comes with another address", async () => {
    const { clock, registry, register, ports } = stage();
    const leases = [await register(1, { id: "a" }), await register(2, { id: "b" })];
    await clock.advance(30_500);
    const suspect = leases.find(({ id }) => registry.lease(id)) as Lease;
    await register(9, { id: suspect.instance.id });
    assert.deepEqual(await ports(), [9]);
    assert.equal((await registry.renew([{ lease: suspect }])).unknown[0]?.reason, "replaced");
  });

  it("lets all go three ttls later, however many there are", async () => {
    const { clock, registry, ports } = await crowd(100);
    await clock.advance(30_500 + 89_000);
    assert.ok(registry.suspects > 15);
    await clock.advance(1_500);
    assert.deepEqual([await ports(), registry.suspects], [[], 0]);
  });

  it("lets go at once whoever said goodbye, was found dead, or is deregistered", async () => {
    const { clock, registry, beat, leases, ports } = await crowd(10);
    for (const lease of leases.slice(0, 3)) await beat(lease, "draining");
    for (const lease of leases.slice(3, 6)) registry.observe(lease.id, "failed");
    await clock.advance(30_500);
    assert.equal((await ports()).length, 3);
    for (const lease of leases) await registry.deregister(lease);
    assert.deepEqual([await ports(), registry.size, registry.suspects], [[], 0, 0]);
  });

  it("believes a prober about a suspect", async () => {
    const { clock, registry, leases, ports } = await crowd(5, { random: () => 0 });
    await clock.advance(30_500);
    registry.observe((leases[1] as Lease).id, "failed");
    registry.observe((leases[2] as Lease).id, "healthy");
    assert.deepEqual(await ports(), [3, 4, 5]);
    assert.equal((await registry.renew([{ lease: leases[1] as Lease }])).unknown[0]?.reason, "expired");
    await clock.advance(30_000);
    assert.deepEqual(await ports(), [3]);
  });

  it("guards each service by itself", async () => {
    const { clock, registry, register, ports } = await crowd(20);
    await register(1, { service: "carts" });
    await clock.advance(31_000);
    assert.deepEqual(await ports("carts"), []);
    assert.equal((await ports()).length, 17);
    assert.equal(registry.release("carts"), 0);
  });

  it("lets a service's suspects go when it is told to, and whoever follows within the window", async () => {
    const { clock, registry, register, ports } = await crowd(20);
    await clock.advance(5_000);
    for (let port = 21; port <= 30; port++) await register(port);
    await clock.advance(25_500);
    assert.equal(registry.release("orders"), registry.counters.preserved);
    assert.equal(registry.suspects, 0);
    assert.equal((await ports()).length, 10);
    await clock.advance(5_000);
    assert.deepEqual(await ports(), []);
  });

  it("says that it guards and that it no longer does, with figures", async () => {
    const { clock, registry, leases } = await crowd(10);
    const told = diary(registry);
    await clock.advance(30_500);
    assert.equal(told.at(-1), "preserved 9/9 orders");
    const alive = leases.filter(({ id }) => registry.lease(id));
    await registry.renew(alive.slice(0, 4).map((lease) => ({ lease })));
    registry.release("orders");
    assert.equal(told.at(-1), "released orders +4 -5");
    assert.equal(registry.counters.preserved, 9);
    assert.equal(registry.counters.expired, 6);
  });

  it("leaves nothing behind of a guard that is over", async () => {
    const { clock, registry } = await crowd(10);
    await clock.advance(300_000);
    assert.equal(registry.size, 0);
    assert.equal(clock.pending, 0);
  });
});

describe("a memory registry that can ask its suspects", () => {
  it("lets go at once whoever refuses, and keeps who answers to the end", async () => {
    const { clock, ports } = await crowd(40, {
      random: () => 0,
      probe: async ({ port }) => (port > 30 ? "refused" : port > 20 ? "alive" : "unknown"),
    });
    await clock.advance(30_500);
    const left = await ports();
    assert.deepEqual(
      left.filter((port) => port > 30),
      [],
    );
    assert.ok(left.length > 20);
    await clock.advance(80_000);
    assert.deepEqual(
      (await ports()).filter((port) => port > 20),
      [21, 22, 23, 24, 25, 26, 27, 28, 29, 30],
    );
    await clock.advance(12_000);
    assert.deepEqual(await ports(), []);
  });

  it("asks again, and believes the later answer", async () => {
    let verdict: "alive" | "refused" = "alive";
    const { clock, ports } = await crowd(10, { probe: async () => verdict });
    await clock.advance(35_000);
    assert.equal((await ports()).length, 9);
    verdict = "refused";
    await clock.advance(6_000);
    assert.deepEqual(await ports(), []);
  });

  it("asks no more than 64 at a time, and waits for no answer longer than five seconds", async () => {
    let [inFlight, most, asked] = [0, 0, 0];
    const probe: NonNullable<MemoryRegistryOptions["probe"]> = (_, signal) =>
      new Promise((_resolve, reject) => {
        asked++;
        most = Math.max(most, ++inFlight);
        signal.addEventListener("abort", () => {
          inFlight--;
          reject(signal.reason);
        });
      });
    const { clock, registry } = await crowd(300, { probe });
    await clock.advance(30_500);
    assert.deepEqual([asked, most], [64, 64]);
    await clock.advance(25_000);
    assert.ok(asked >= registry.suspects && most === 64, `${asked} ${most}`);
    await registry.close();
    await clock.advance(0);
    assert.equal(inFlight, 0);
    assert.equal(clock.pending, 0);
  });

  it("takes a probe that throws for one that knows nothing, and an answer that comes too late for none", async () => {
    const answers: ((verdict: "refused") => void)[] = [];
    const { clock, registry, beat, leases, ports } = await crowd(8, {
      probe: ({ port }) => {
        if (port % 2) throw new Error("no such thing");
        return new Promise((resolve) => answers.push(resolve));
      },
    });
    await clock.advance(30_500);
    for (const lease of leases) await beat(lease);
    for (const answer of answers) answer("refused");
    await clock.advance(1_000);
    assert.equal((await ports()).length, 7);
    assert.equal(registry.suspects, 0);
  });
});

/** So many instances of one service, all registered at the same moment. */
async function crowd(count: number, options: Partial<MemoryRegistryOptions> = {}) {
  const on = stage(options);
  const leases: Lease[] = [];
  for (let port = 1; port <= count; port++) leases.push(await on.register(port));
  return { ...on, leases };
}
