import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { defineInstance, inStatus } from "../../src/model/instance.js";
import type { HealthCheck, Lease } from "../../src/registry/registry.js";
import type { Probed, Seen } from "../../src/server/probe.js";
import { ProbeRules, type ProbeTarget } from "../../src/server/probe-target.js";
import { Prober, type ProberOptions } from "../../src/server/prober.js";
import { ManualClock } from "../../src/testing/index.js";

const HEALTH: HealthCheck = { path: "/health", intervalMs: 10_000, timeoutMs: 2_000, failures: 3 };

describe("Prober", () => {
  it("unlists after three failures in a row, within 30 s, and takes back with the first that passes", async () => {
    const { clock, prober, leases, observed, answers } = start();
    prober.watch(leases.grant("a"), HEALTH, "10.0.0.1");
    answers.seen = "refused";
    await clock.advance(30_000);
    assert.deepEqual(observed, ["a failed"]);
    await clock.advance(30_000);
    answers.seen = "alive";
    await clock.advance(10_000);
    assert.deepEqual(observed, ["a failed", "a healthy"]);
    assert.equal(prober.counts.failed, 6);
  });

  it("calls slow instances unstable, and does not mind a 404", async () => {
    const { clock, prober, leases, observed, answers } = start();
    prober.watch(leases.grant("a"), HEALTH, "10.0.0.1");
    answers.latencyMs = 1_500;
    await clock.advance(30_000);
    answers.latencyMs = 10;
    await clock.advance(40_000);
    assert.deepEqual(observed, ["a unstable", "a healthy"]);
  });

  it("ends a probe at its time-out, and learns nothing from one that was denied or met our own trouble", async () => {
    const { clock, prober, leases, observed, answers } = start();
    prober.watch(leases.grant("a"), HEALTH, "10.0.0.1");
    for (const seen of ["denied", "unknown"] as const) {
      answers.seen = seen;
      await clock.advance(60_000);
    }
    assert.deepEqual(observed, []);
    assert.ok(prober.counts.denied > 3);
    answers.seen = "silence";
    await clock.advance(40_000);
    assert.deepEqual(observed, ["a failed"]);
  });

  it("blames nobody for a time-out while this process stood still", async () => {
    const { clock, prober, leases, observed, answers } = start();
    prober.watch(leases.grant("a"), HEALTH, "10.0.0.1");
    answers.seen = "silence";
    for (let round = 0; round < 5; round++) {
      const before = prober.counts.probes;
      while (answers.open === 0) await clock.advance(100);
      await clock.stall(60_000);
      assert.equal(prober.counts.probes, before + 1);
    }
    assert.deepEqual(observed, []);
  });

  it("asks 5,000 instances within the interval and a tenth, no more than 64 at a time", async () => {
    const { clock, prober, leases, probes, answers } = start({ random: lcg() });
    answers.latencyMs = 100;
    for (let index = 0; index < 5_000; index++) {
      const host = `10.1.${index >> 8}.${index & 255}`;
      prober.watch(leases.grant(`i${index}`, host), HEALTH, `10.2.0.${index % 20}`);
    }
    await clock.advance(10_000 * 1.1);
    assert.equal(new Set(probes.map(({ host }) => host)).size, 5_000);
    assert.ok(answers.most <= 64 && answers.most > 32, String(answers.most));
    await clock.advance(11_000);
    const last = new Map<string, number>();
    for (const { host, at } of probes) {
      const before = last.get(host);
      if (before !== undefined)
        assert.ok(at - before <= 11_000 && at - before >= 1_000, `${host} after ${at - before} ms`);
      last.set(host, at);
    }
    assert.ok([...last.values()].every((at) => clock.now() - at <= 11_000));
  }, 60_000);

  it("lets everybody wait for a place rather than ask more than 64 at a time", async () => {
    const { clock, prober, leases, answers } = start();
    answers.seen = "silence";
    for (let index = 0; index < 200; index++)
      prober.watch(leases.grant(`i${index}`, `10.0.0.${index}`), HEALTH, `10.9.9.${index % 7}`);
    await clock.advance(20_000);
    assert.equal(answers.most, 64);
    assert.ok(prober.counts.failed >= 200);
  });

  it("keeps places for others when one registrant's targets never answer", async () => {
    const { clock, prober, leases, answers, probes } = start({ random: lcg() });
    answers.seen = "silence";
    const slow = { ...HEALTH, timeoutMs: 10_000 };
    for (let index = 0; index < 250; index++)
      prober.watch(leases.grant(`i${index}`, `10.0.0.${index}`), slow, "10.9.9.9");
    await clock.advance(20_000);
    assert.equal(answers.most, 32);
    answers.seen = "alive";
    for (let index = 0; index < 50; index++)
      prober.watch(leases.grant(`x${index}`, `10.0.1.${index}`), HEALTH, "10.9.9.8");
    await clock.advance(11_000);
    assert.equal(new Set(probes.map(({ host }) => host).filter((host) => host.startsWith("10.0.1."))).size, 50);
    await clock.advance(20_000);
    assert.equal(new Set(probes.map(({ host }) => host)).size, 300);
  });

  it("spreads those who came at the same moment", async () => {
    const { clock, prober, leases, probes } = start({ random: lcg() });
    for (let index = 0; index < 200; index++)
      prober.watch(leases.grant(`i${index}`, `10.0.0.${index}`), HEALTH, "10.9.9.9");
    await clock.advance(10_000);
    const perSecond = Array.from(
      { length: 10 },
      (_, second) => probes.filter(({ at }) => at >= 1_000 * (second + 1) && at < 1_000 * (second + 2)).length,
    );
    assert.ok(
      perSecond.every((count) => count > 5 && count < 40),
      perSecond.join(" "),
    );
  });

  it("leaves an address in peace for a second, however many registrations name it", async () => {
    const { clock, prober, leases, probes, answers } = start({ random: lcg() });
    answers.latencyMs = 300;
    for (let index = 0; index < 12; index++) {
      prober.watch(leases.grant(`i${index}`, "10.0.0.1"), { ...HEALTH, intervalMs: 1_000 }, `10.9.9.${index}`);
    }
    for (let index = 0; index < 100; index++)
      prober.watch(leases.grant(`x${index}`, `10.0.1.${index}`), HEALTH, "10.9.9.9");
    await clock.advance(30_000);
    const times = probes.filter(({ host }) => host === "10.0.0.1").map(({ at }) => at);
    assert.ok(times.length >= 25, String(times.length));
    times.forEach((at, index) => void assert.ok(index === 0 || at - (times[index - 1] ?? 0) >= 1_000));
  });

  it("forgets a lease that has ended, and puts a new one in the place of the old", async () => {
    const { clock, prober, leases, observed, answers, probes } = start();
    const first = leases.grant("a");
    prober.watch(first, HEALTH, "10.0.0.1");
    answers.seen = "refused";
    await clock.advance(20_000);
    leases.end(first);
    prober.watch(leases.grant("a"), HEALTH, "10.0.0.1");
    assert.equal(prober.counts.targets, 1);
    await clock.advance(15_000);
    assert.deepEqual(observed, []); // two failures of the old life and one of the new are no three in a row
    prober.watch(leases.grant("a"), undefined, "10.0.0.1");
    const asked = probes.length;
    const gone = leases.grant("b");
    prober.watch(gone, HEALTH, "10.0.0.1");
    leases.end(gone);
    await clock.advance(60_000);
    assert.deepEqual([prober.counts.targets, probes.length, clock.pending], [0, asked, 0]);
  });

  it("does not tell of a lease that ended during its last probe", async () => {
    const { clock, prober, leases, observed, answers } = start();
    const lease = leases.grant("a");
    prober.watch(lease, { ...HEALTH, failures: 1 }, "10.0.0.1");
    answers.seen = "silence";
    while (answers.open === 0) await clock.advance(100);
    leases.end(lease);
    await clock.advance(2_000);
    assert.deepEqual([observed, prober.counts.failed], [[], 1]);
  });

  it("asks nobody who is not open yet or is about to go", async () => {
    const { clock, prober, leases, observed, answers, probes } = start();
    const lease = leases.grant("a");
    answers.seen = "server_error";
    prober.watch(lease, HEALTH, "10.0.0.1");
    for (const status of ["starting", "draining"] as const) {
      leases.declare(lease, status);
      await clock.advance(60_000);
    }
    assert.deepEqual([probes.length, observed], [0, []]);
    leases.declare(lease, "healthy");
    await clock.advance(40_000);
    assert.deepEqual(observed, ["a failed"]);
  });

  it("probes no more than so many targets of one registrant, and registers the others all the same", async () => {
    const { clock, prober, leases } = start({ maxPerPeer: 2 });
    const watch = (id: string, host: string, peer: string): boolean =>
      prober.watch(leases.grant(id, host), HEALTH, peer);
    assert.deepEqual(
      ["a", "b", "c"].map((id, index) => watch(id, `10.0.0.${index}`, "10.9.9.9")),
      [true, true, false],
    );
    assert.equal(watch("d", "10.0.0.0", "10.9.9.9"), true); // the same address again
    assert.equal(watch("c", "10.0.0.2", "10.9.9.8"), true);
    prober.watch(leases.grant("b", "10.0.0.1"), undefined, "10.9.9.9");
    assert.equal(watch("e", "10.0.0.3", "10.9.9.9"), false); // else one could go round all ports
    await clock.advance(5 * 60_000);
    assert.equal(watch("e", "10.0.0.3", "10.9.9.9"), true);
    assert.deepEqual([prober.counts.unprobed, prober.counts.targets], [2, 4]);
  });

  it("refuses what must not be probed, and goes on after a restart with what may be", async () => {
    const { clock, prober, leases, probes } = start();
    const metadata = leases.grant("a", "169.254.169.254");
    assert.throws(() => prober.check("health_check", metadata.instance, HEALTH, "127.0.0.1"), {
      field: "health_check",
    });
    assert.throws(() => prober.check("health_check", leases.grant("b", "127.0.0.1").instance, HEALTH, "10.0.0.1"));
    prober.resume(
      [metadata, leases.grant("c", "127.0.0.1"), leases.grant("d", "10.0.0.4")].map((lease) => ({
        lease,
        health: HEALTH,
      })),
    );
    await clock.advance(10_000);
    assert.deepEqual(probes.map(({ host }) => host).sort(), ["10.0.0.4", "127.0.0.1"]);
  });

  it("ends everything when it is closed, and begins nothing any more", async () => {
    const { clock, prober, leases, observed, answers } = start();
    answers.seen = "silence";
    for (let index = 0; index < 100; index++)
      prober.watch(leases.grant(`i${index}`, `10.0.0.${index}`), { ...HEALTH, failures: 1 }, `10.9.9.${index % 7}`);
    await clock.advance(6_000);
    assert.equal(answers.open, 64);
    prober.close();
    prober.close();
    assert.equal(prober.watch(leases.grant("late"), HEALTH, "10.0.0.1"), false);
    await clock.advance(0);
    assert.deepEqual([answers.open, clock.pending], [0, 0]);
    const before = observed.length;
    await clock.advance(60_000);
    assert.equal(observed.length, before);
  });
});

function start(options: Partial<ProberOptions> = {}) {
  const clock = new ManualClock();
  const observed: string[] = [];
  const probes: { host: string; at: number }[] = [];
  const held = new Map<string, Lease>();
  let granted = 0;
  const leases = {
    grant(id: string, host = "10.0.0.1"): Lease {
      const instance = defineInstance({ service: "orders", id, host, port: 8_080 });
      const lease = { id: `lease-${++granted}`, instance, ttlMs: 30_000, heartbeatMs: 10_000 };
      held.set(lease.id, lease);
      return lease;
    },
    end: ({ id }: Lease) => void held.delete(id),
    declare: (lease: Lease, status: "starting" | "healthy" | "draining") =>
      void held.set(lease.id, { ...lease, instance: inStatus(lease.instance, status) }),
  };
  const answers = { seen: "alive" as Seen | "silence", latencyMs: 10, open: 0, most: 0 };
  const probe = async ({ host }: ProbeTarget, signal: AbortSignal): Promise<Probed> => {
    const { seen, latencyMs } = answers;
    const at = clock.now();
    probes.push({ host, at });
    answers.most = Math.max(answers.most, ++answers.open);
    await clock.sleep(seen === "silence" ? 1e9 : latencyMs, signal).catch(() => {});
    answers.open--;
    return seen === "silence" || signal.aborted
      ? { seen: "timed_out", latencyMs: clock.now() - at }
      : { seen, latencyMs };
  };
  const sink = {
    lease: (id: string) => held.get(id),
    observe: (id: string, seen: string) => void observed.push(`${held.get(id)?.instance.id} ${seen}`),
  };
  const defaults = { sink, probe, clock, random: () => 0.5, rules: new ProbeRules(), maxPerPeer: 256 };
  return { clock, prober: new Prober({ ...defaults, ...options }), leases, observed, probes, answers };
}

/** Chance that can be repeated: the constants of Numerical Recipes. */
function lcg(state = 1): () => number {
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 0x1_0000_0000;
  };
}
