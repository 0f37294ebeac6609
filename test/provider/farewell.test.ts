import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { DiscoveryError, defineInstance } from "../../src/index.js";
import { type Goodbye, sayGoodbye } from "../../src/provider/farewell.js";
import type { Lease, Registrar } from "../../src/registry/registry.js";
import { ManualClock } from "../../src/testing/index.js";

describe("sayGoodbye", () => {
  it("declares draining, deregisters, and goes on as soon as the consumers have acknowledged", async () => {
    const { calls, goodbye, tookMs } = await leave({ acks: true, answerMs: 40 });
    assert.deepEqual(calls, ["update draining", "deregister waiting 5000"]);
    assert.deepEqual(goodbye, { deregistered: true, acked: 3, waiting: 0 });
    assert.equal(tookMs, 80);
  });

  it("waits for acknowledgements no longer than it was told to, and two seconds", async () => {
    const { goodbye, tookMs } = await leave({ acks: true, deregister: "silent", drainMs: 1_500 });
    assert.deepEqual(goodbye, { deregistered: false });
    assert.equal(tookMs, 3_500);
  });

  it("waits for a time where nobody collects acknowledgements", async () => {
    const { calls, goodbye, tookMs } = await leave({ drainMs: 5_000 });
    assert.deepEqual(calls, ["update draining", "deregister"]);
    assert.equal(goodbye.deregistered, true);
    assert.equal(tookMs, 5_000);
  });

  it("does not wait when it was told not to", async () => {
    for (const acks of [true, false]) {
      const { calls, tookMs } = await leave({ acks, drainMs: 0 });
      assert.equal(calls.at(-1), "deregister");
      assert.equal(tookMs, 0);
    }
  });

  it("says only once that it drains", async () => {
    assert.deepEqual((await leave({ status: "draining" })).calls, ["deregister"]);
  });

  it("deregisters the lease that the update left it with", async () => {
    const { left } = await leave({ updatedLease: "another" });
    assert.equal(left, "another");
  });

  it("leaves all the same when draining could not be declared", async () => {
    const { calls, goodbye } = await leave({ acks: true, update: "refused" });
    assert.deepEqual(calls, ["update draining", "deregister waiting 5000"]);
    assert.equal(goodbye.deregistered, true);
  });

  it("tries again when the registry hiccups", async () => {
    const { calls, goodbye } = await leave({ deregister: "refused once" });
    assert.deepEqual(calls, ["update draining", "deregister", "deregister"]);
    assert.equal(goodbye.deregistered, true);
  });

  it("is over within three seconds when the registry is silent, with or without acknowledgements", async () => {
    for (const acks of [true, false]) {
      const { goodbye, tookMs } = await leave({ acks, update: "silent", deregister: "silent" });
      assert.deepEqual(goodbye, { deregistered: false });
      assert.equal(tookMs, 3_000);
    }
  });

  it("does not wait for consumers that cannot have heard", async () => {
    const { goodbye, tookMs } = await leave({ update: "refused", deregister: "refused" });
    assert.deepEqual(goodbye, { deregistered: false });
    assert.ok(tookMs < 1_000, `${tookMs} ms`);
  });
});

interface Script {
  readonly acks?: boolean;
  readonly drainMs?: number;
  readonly answerMs?: number;
  readonly status?: "draining";
  readonly updatedLease?: string;
  readonly update?: "silent" | "refused";
  readonly deregister?: "silent" | "refused" | "refused once";
}

async function leave(script: Script) {
  const clock = new ManualClock();
  const calls: string[] = [];
  let left: string | undefined;
  const answer = async (how: string | undefined, signal: AbortSignal): Promise<void> => {
    if (how === "silent") await clock.sleep(1_000_000, signal);
    if (how === "refused" || (how === "refused once" && calls.length === 2))
      throw new DiscoveryError("UNAVAILABLE", "connect ECONNREFUSED");
    if (script.answerMs) await clock.sleep(script.answerMs, signal);
  };
  const registrar = {
    name: "scripted",
    capabilities: { acks: script.acks },
    async update(lease, instance, { signal }) {
      calls.push(`update ${instance.status}`);
      await answer(script.update, signal);
      return { ...lease, id: script.updatedLease ?? lease.id };
    },
    async deregister(lease, { signal, waitMs }) {
      calls.push(waitMs === undefined ? "deregister" : `deregister waiting ${waitMs}`);
      left = lease.id;
      await answer(script.deregister, signal);
      return { acked: 3, waiting: 0 };
    },
  } as Partial<Registrar> as Registrar;
  const told = defineInstance({ service: "orders", host: "10.0.0.1", port: 3_000, status: script.status });
  const lease: Lease = { id: "a lease", instance: told, ttlMs: 30_000, heartbeatMs: 10_000 };
  const begunAt = clock.now();
  let tookMs = Number.NaN;
  const parting = { registrar, lease, told, drainMs: script.drainMs ?? 5_000 };
  const said: Promise<Goodbye> = sayGoodbye(parting, { clock, random: () => 0.5 });
  void said.then(() => {
    tookMs = clock.now() - begunAt;
  });
  await clock.advance(60_000);
  assert.equal(clock.pending, 0, "no timer is left");
  return { calls, left, tookMs, goodbye: await said };
}
