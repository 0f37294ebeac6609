import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { type CreateAgentOptions, createAgent, DiscoveryError } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { instancesOf, makeAgent, startAgent, stopAgent } from "../fakes/agents.js";
import { faultyRegistry } from "../fakes/registrar.js";

describe("createAgent", () => {
  it("registers, beats within the ttl, and leaves", async () => {
    const { agent, clock, faulty, listed, events } = await startAgent();
    await clock.advance(120_000);
    assert.deepEqual(await listed(), ["orders@127.0.0.1:3000"]);
    assert.ok(faulty.calls.filter((call) => call === "renew").length >= 12);
    await stopAgent(agent, clock);
    assert.deepEqual(await listed(), []);
    assert.deepEqual(events, ["registered", "draining", "stopped"]);
    assert.equal(agent.state, "stopped");
  });

  it("registers again within a beat interval and a second when the registry forgot everything", async () => {
    const { agent, clock, faulty, listed, events } = await startAgent();
    faulty.restart();
    await clock.advance(11_000);
    assert.deepEqual(await listed(), ["orders@127.0.0.1:3000"]);
    assert.deepEqual(events, ["registered", "lost", "registered"]);
    assert.equal(agent.state, "registered");
  });

  it("waits for a registry that is away at the start, for ever", async () => {
    const { agent, clock, faulty, listed } = makeAgent();
    faulty.mode = "down";
    const started = agent.start();
    await clock.advance(3_600_000);
    assert.equal(agent.state, "registering");
    faulty.mode = "up";
    await clock.advance(30_000);
    await started;
    assert.deepEqual(await listed(), ["orders@127.0.0.1:3000"]);
  });

  it("asks a registry that is away ever less often, but every few seconds", async () => {
    const { agent, clock, faulty } = makeAgent({ random: () => 0.999 });
    faulty.mode = "down";
    agent.start().catch(() => {});
    await clock.advance(600_000);
    const tries = faulty.calls.length;
    assert.ok(tries >= 120 && tries <= 127, `${tries} tries in ten minutes`);
  });

  it("is registered within five seconds of the registry's return, however long that was away", async () => {
    const { agent, clock, faulty, listed } = await startAgent({ random: () => 0.999 });
    faulty.mode = "down";
    await clock.advance(3_600_000);
    assert.equal(agent.state, "lost");
    faulty.restart();
    faulty.mode = "up";
    await clock.advance(5_000);
    assert.deepEqual(await listed(), ["orders@127.0.0.1:3000"]);
  });

  for (const [what, retryAfterMs, nextMs] of [
    ["a day", 86_400_000, 29_999],
    ["what is no time", Number.NaN, 499],
  ] as const)
    it(`asks again within half a minute when a gateway asks for ${what}`, async () => {
      const { agent, clock, faulty } = makeAgent({ random: () => 0.999 });
      let tries = 0;
      faulty.registry.register = async () => {
        tries++;
        throw new DiscoveryError("UNAVAILABLE", "maintenance", { retryAfterMs });
      };
      agent.start().catch(() => {});
      await clock.advance(nextMs);
      assert.equal(tries, 1);
      await clock.advance(2);
      assert.equal(tries, 2);
    });

  it("stays out of step with the fleet when the registry stood still and answers all at once", async () => {
    const { clock, faulty } = await startAgent({ ttlMs: 9_000, random: () => 0 });
    await clock.advance(1);
    const sentAt: number[] = [];
    const { renew } = faulty.registry;
    faulty.registry.renew = async (beats, options) => {
      sentAt.push(clock.now());
      if (sentAt.length === 1) await clock.sleep(1_400); // shorter than a beat may take
      return renew(beats, options);
    };
    await clock.advance(7_000);
    assert.equal((sentAt[1] as number) - (sentAt[0] as number), 3_000);
  });

  it("holds a lease through an outage shorter than the ttl, and beats soon after a miss", async () => {
    const { agent, clock, faulty, events } = await startAgent();
    await clock.advance(60_000);
    const lease = agent.lease;
    faulty.mode = "down";
    await clock.advance(15_000);
    faulty.mode = "up";
    await clock.advance(15_000);
    assert.equal(agent.lease, lease);
    assert.ok(events.includes("beatMissed"));
    assert.ok(!events.includes("lost"));
  });

  it("takes silence longer than the ttl for the loss of the lease", async () => {
    const { agent, clock, faulty, events } = await startAgent();
    faulty.mode = "deaf";
    await clock.advance(45_000);
    assert.ok(events.includes("lost"));
    assert.equal(agent.state, "lost");
    faulty.mode = "up";
    await clock.advance(40_000);
    assert.equal(agent.state, "registered");
  });

  it("beats at once when it wakes from a stall, and registers again within a second if that was too late", async () => {
    const { agent, clock, faulty, events } = await startAgent();
    await clock.advance(20_000);
    const lease = agent.lease?.id;
    faulty.calls.length = 0;
    await clock.stall(12_000);
    assert.deepEqual(faulty.calls, ["renew"]);
    assert.equal(agent.lease?.id, lease);
    assert.ok(!events.includes("lost"));
  });

  it("refuses what the registry refuses, and can be started again", async () => {
    const { clock, faulty, agent } = makeAgent({ id: "one", port: 4_000 });
    const other = createAgent({
      registry: faulty.registry,
      service: "orders",
      port: 3_000,
      host: "127.0.0.1",
      id: "one",
      clock,
    });
    await other.start();
    await assert.rejects(agent.start(), (error) => DiscoveryError.is(error, "ID_CONFLICT"));
    await stopAgent(other, clock);
    await agent.start();
    assert.equal(agent.state, "registered");
  });

  it("gives way to a newer holder of its id instead of fighting", async () => {
    const { agent, clock, faulty, events } = await startAgent();
    const newer = createAgent({ registry: faulty.registry, service: "orders", port: 3_000, host: "127.0.0.1", clock });
    await newer.start();
    await clock.advance(11_000);
    assert.ok(events.includes("conflict"));
    faulty.calls.length = 0;
    await clock.advance(14_000);
    assert.ok(!faulty.calls.includes("register"));
    assert.equal(newer.state, "registered");
    assert.notEqual(agent.state, "registered");
  });

  it("publishes an update, and after an outage the one that was missed", async () => {
    const { agent, clock, faulty } = await startAgent();
    await agent.update({ weight: 3 });
    assert.equal((await instancesOf(faulty))[0]?.weight, 3);
    faulty.mode = "down";
    const updated = agent.update({ weight: 5 }).catch(() => "failed");
    await clock.advance(5_000);
    faulty.mode = "up";
    await clock.advance(30_000);
    await updated;
    assert.equal((await instancesOf(faulty))[0]?.weight, 5);
  });

  it("drains: asks for no new calls and keeps its lease", async () => {
    const { agent, clock, faulty } = await startAgent();
    await agent.drain();
    await clock.advance(60_000);
    assert.equal((await instancesOf(faulty))[0]?.status, "draining");
    assert.equal(agent.state, "draining");
  });

  it("leaves within three seconds although the registry is deaf", async () => {
    const { agent, clock, faulty } = await startAgent();
    faulty.mode = "deaf";
    const stopped = agent.stop();
    await clock.advance(3_000);
    await stopped;
    assert.equal(agent.state, "stopped");
    assert.equal(clock.pending, 1, "only the registry's own sweep is left");
  });

  it("ends a start with the caller's own signal", async () => {
    const { agent, clock, faulty } = makeAgent();
    faulty.mode = "down";
    const halt = new AbortController();
    const started = agent.start({ signal: halt.signal });
    await clock.advance(1_000);
    halt.abort(new Error("mine"));
    await assert.rejects(started, /mine/);
    assert.equal(agent.state, "idle");
  });

  it("cannot be started again once it was stopped, not even while it was starting", async () => {
    const { agent, faulty } = makeAgent();
    const started = agent.start();
    const stopped = agent.stop();
    await assert.rejects(started, (error) => DiscoveryError.is(error, "CLOSED"));
    await stopped;
    await assert.rejects(agent.start(), (error) => DiscoveryError.is(error, "CLOSED"));
    assert.equal(faulty.memory.size, 0);
  });

  it("survives a listener that throws", async () => {
    const { agent, faulty, clock } = makeAgent();
    const errors: unknown[] = [];
    agent.on("registered", () => {
      throw new Error("a user's mistake");
    });
    agent.on("listenerError", ({ event }) => errors.push(event));
    await agent.start();
    await clock.advance(20_000);
    assert.deepEqual(errors, ["registered"]);
    assert.ok(faulty.calls.includes("renew"));
  });

  it("refuses wrong options by name", () => {
    const { registry } = faultyRegistry(new ManualClock());
    const make = (options: object) => () =>
      createAgent({ registry, service: "orders", port: 1, ...options } as CreateAgentOptions);
    assert.throws(make({ port: 0 }), /agent\.port must be a whole number from 1 to 65535, got 0/);
    assert.throws(make({ servce: "x" }), /agent\.servce is no option: did you mean service\?/);
    assert.throws(make({ ttlMs: 10 }), /agent\.ttlMs must be a number from 3000/);
    assert.throws(make({ service: "1.2.3.4" }), /agent\.service must be a service name/);
    assert.throws(make({ metadata: { a: 1 } }), /agent\.metadata\.a must be a printable string/);
  });

  it("shares heartbeats with the other agents of its registry", async () => {
    const { clock, faulty } = await startAgent();
    const second = createAgent({ registry: faulty.registry, service: "carts", port: 3_001, host: "127.0.0.1", clock });
    await second.start();
    faulty.calls.length = 0;
    await clock.advance(100_000);
    const beats = faulty.calls.filter((call) => call === "renew").length;
    assert.ok(beats >= 10 && beats <= 12, `${beats} requests for two agents in ten intervals`);
    assert.equal(faulty.memory.size, 2);
  });
});
