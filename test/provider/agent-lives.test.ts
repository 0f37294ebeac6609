import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { createAgent, DiscoveryError } from "../../src/index.js";
import type { InstanceStatus } from "../../src/model/instance.js";
import { ManualClock } from "../../src/testing/index.js";
import { instancesOf, makeAgent, startAgent, stopAgent } from "../fakes/agents.js";

describe("an agent whose machine slept", () => {
  it("beats within a second of waking, and goes on as before", async () => {
    const { agent, clock, faulty } = await startAgent();
    await clock.advance(20_000);
    faulty.calls.length = 0;
    clock.setWall(clock.wall() + 7_200_000);
    await clock.advance(1_000);
    assert.deepEqual(faulty.calls, ["renew"]);
    await clock.advance(60_000);
    const beats = faulty.calls.length;
    assert.ok(beats >= 6 && beats <= 9, `${beats} beats in a minute`);
    await stopAgent(agent, clock);
    assert.equal(agent.state, "stopped");
  });
});

describe("the lives of an id", () => {
  it("are one when the answer to a registration was lost and it was sent again", async () => {
    const { agent, clock, faulty, listed, events } = makeAgent();
    faulty.mode = "mute";
    const started = agent.start();
    await clock.advance(3_000);
    assert.deepEqual(events, ["registerFailed"]);
    faulty.mode = "up";
    await clock.advance(30_000);
    await started;
    assert.deepEqual(await listed(), ["orders@127.0.0.1:3000"]);
    assert.equal(faulty.memory.size, 1);
    assert.ok(!events.includes("lost"), "the first answer, had it come late, would have been of an ended lease");
  });

  it("are not ended by the late goodbye of an earlier one", async () => {
    const { agent, clock, faulty, listed } = await startAgent();
    const newer = createAgent({ registry: faulty.registry, service: "orders", port: 3_000, host: "127.0.0.1", clock });
    await newer.start();
    await stopAgent(agent, clock);
    assert.deepEqual(await listed(), ["orders@127.0.0.1:3000"]);
    assert.equal((await instancesOf(faulty))[0]?.status, "healthy", "nor drained by it");
    assert.equal(newer.state, "registered");
  });

  it("have different incarnations", async () => {
    const { agent, clock, faulty } = await startAgent();
    const [first] = await instancesOf(faulty);
    await stopAgent(agent, clock);
    const next = createAgent({ registry: faulty.registry, service: "orders", port: 3_000, host: "127.0.0.1", clock });
    await next.start();
    const [second] = await instancesOf(faulty);
    assert.equal(second?.id, first?.id);
    assert.ok((second?.incarnation ?? 0) > (first?.incarnation ?? 0));
  });

  it("go on within a second after the process stood still longer than its ttl", async () => {
    const registryClock = new ManualClock();
    const { agent, clock, listed, events } = await startAgent({}, registryClock);
    await clock.advance(20_000);
    await registryClock.advance(20_000 + 45_000);
    assert.deepEqual(await listed(), [], "the registry has given it up");
    await clock.stall(45_000);
    assert.deepEqual(events, ["registered", "lost"], "the first beat tells it");
    await clock.advance(1_000);
    assert.deepEqual(await listed(), ["orders@127.0.0.1:3000"]);
    assert.equal(agent.state, "registered");
  });

  it("begin anew with a new epoch, although the lease is known", async () => {
    const { clock, faulty, events } = await startAgent();
    const renew = faulty.registry.renew;
    let epoch: string | undefined = "another";
    faulty.registry.renew = async (beats, options) => ({ ...(await renew(beats, options)), epoch });
    await clock.advance(10_000);
    epoch = undefined; // a registry that tells none is believed
    await clock.advance(30_000);
    assert.deepEqual(events, ["registered", "lost", "registered"]);
  });

  it("refuse a second holder at another address, and tell it of the conflict", async () => {
    const { faulty, clock } = await startAgent({ id: "one" });
    const second = makeAgent({ id: "one", port: 4_000, registry: faulty.registry, clock });
    await assert.rejects(second.agent.start(), (error) => DiscoveryError.is(error, "ID_CONFLICT"));
    assert.equal((await instancesOf(faulty))[0]?.port, 3_000);
  });

  it("give way for at least fifteen seconds, whatever chance says, and longer each time", async () => {
    const { clock, faulty } = await startAgent({ random: () => 0 });
    const takeOver = (): Promise<unknown> => {
      const settings = {
        registry: { ...faulty.registry },
        service: "orders",
        port: 3_000,
        host: "127.0.0.1",
        ttlMs: 3_000,
      };
      return createAgent({ ...settings, clock: new ManualClock() }).start(); // which never beats: its time stands still
    };
    for (const givenWayMs of [15_000, 30_000]) {
      await takeOver();
      await clock.advance(10_000);
      faulty.calls.length = 0;
      await clock.advance(givenWayMs - 11_000);
      assert.ok(!faulty.calls.includes("register"), `not before ${givenWayMs} ms`);
      await clock.advance(11_001);
      assert.ok(faulty.calls.includes("register"));
    }
  });

  it("are not taken for rivals of themselves when a registration of their own comes late or twice", async () => {
    const { agent, clock, faulty, events, listed } = await startAgent();
    const { register } = faulty.registry;
    let sent = (): Promise<unknown> => Promise.reject(new Error("nothing was sent"));
    faulty.registry.register = (instance, options) => {
      sent = () => register(instance, { ...options, signal: new AbortController().signal });
      return register(instance, options);
    };
    faulty.restart();
    await clock.advance(11_000);
    const lease = agent.lease?.id;
    await sent();
    await clock.advance(60_000);
    assert.deepEqual(events, ["registered", "lost", "registered"]);
    assert.equal(agent.lease?.id, lease);
    await stopAgent(agent, clock);
    await assert.rejects(sent(), (error) => DiscoveryError.is(error, "REJECTED"));
    assert.deepEqual(await listed(), []);
  });

  it("are told by what is newest, although an update comes after the one that followed it", async () => {
    const { agent, faulty } = await startAgent();
    const { update } = faulty.registry;
    const late: (() => Promise<unknown>)[] = [];
    faulty.registry.update = (...given) => {
      late.push(() => update(...given));
      return update(...given);
    };
    await agent.update({ weight: 3 });
    await agent.update({ weight: 5 });
    await late[0]?.();
    assert.equal((await instancesOf(faulty))[0]?.weight, 5);
  });

  it("stay ended when the registry begins anew while the process is leaving", async () => {
    const { agent, clock, faulty, listed } = await startAgent();
    faulty.mode = "deaf";
    const stopped = agent.stop();
    await clock.advance(500);
    faulty.restart(0);
    faulty.mode = "up";
    await clock.advance(60_000);
    await stopped;
    assert.deepEqual(await listed(), []);
    assert.ok(!faulty.calls.slice(1).includes("register"));
  });

  it("end although they only just began: a registration under way is taken back", async () => {
    const { agent, clock, faulty, events } = makeAgent();
    const register = faulty.registry.register;
    faulty.registry.register = async (instance, options) => {
      const lease = await register(instance, options);
      await clock.sleep(400); // the answer is on its way
      return lease;
    };
    const started = agent.start().catch((error: unknown) => error);
    await clock.advance(100);
    await stopAgent(agent, clock);
    assert.ok(DiscoveryError.is(await started, "CLOSED"));
    assert.equal(faulty.memory.size, 0, "no ghost is left until its ttl");
    assert.equal(events.at(-1), "stopped");
  });
});

describe("an agent that is probed", () => {
  it("tells when the registry unlists it, and when it lists it again, once each", async () => {
    const { agent, clock, faulty, events } = await startAgent();
    let published: InstanceStatus = "failed";
    const renew = faulty.registry.renew;
    faulty.registry.renew = async (beats, options) => ({
      ...(await renew(beats, options)),
      statuses: new Map(beats.map(({ lease }) => [lease.id, published])),
    });
    await clock.advance(30_000);
    assert.deepEqual(events, ["registered", "unlisted"]);
    assert.equal(agent.state, "registered", "it keeps its lease");
    published = "unstable";
    await clock.advance(30_000);
    assert.deepEqual(events, ["registered", "unlisted", "relisted"]);
  });
});

describe("heartbeats", () => {
  it("of a fleet deployed at once are spread over the first interval", async () => {
    const firstBeats: number[] = [];
    for (const chance of [0, 0.25, 0.5, 0.75, 0.999]) {
      const { clock, faulty } = await startAgent({ random: () => chance });
      const begunAt = clock.now();
      while (!faulty.calls.includes("renew")) await clock.advance(100);
      firstBeats.push(clock.now() - begunAt);
    }
    assert.deepEqual(firstBeats, [100, 2_500, 5_000, 7_500, 10_000]);
  });

  it("come up to a tenth early and never late", async () => {
    for (const [chance, gapMs] of [
      [0, 10_000],
      [0.999, 9_000],
    ] as const) {
      const { clock, faulty } = await startAgent({ random: () => chance });
      await clock.advance(10_000);
      faulty.calls.length = 0;
      await clock.advance(gapMs * 5 + 50);
      assert.equal(faulty.calls.filter((call) => call === "renew").length, 5, `${gapMs} ms apart`);
    }
  });
});
