import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { DiscoveryError } from "../../src/index.js";
import { makeAgent, startAgent } from "../fakes/agents.js";

describe("readyWhen", () => {
  it("must pass once before anybody is told of us; what it throws is told, not thrown", async () => {
    const answers: (() => unknown)[] = [
      () => Promise.reject(new Error("no database yet")),
      () => {
        throw new Error("no cache yet");
      },
      () => false,
      () => undefined,
    ];
    const told: string[] = [];
    const { agent, clock, faulty, events } = makeAgent({ readyWhen: () => answers.shift()?.() });
    agent.on("readyFailed", ({ cause, attempt }) => void told.push(`${attempt} ${(cause as Error).message}`));
    const started = agent.start();
    await clock.advance(0);
    assert.equal(agent.state, "registering");
    assert.deepEqual(faulty.calls, []);
    await clock.advance(10_000);
    await started;
    assert.deepEqual(told, ["1 no database yet", "2 no cache yet", "3 readyWhen says: not yet (UNAVAILABLE)"]);
    assert.deepEqual(events, ["readyFailed", "readyFailed", "readyFailed", "registered"]);
  });

  it("is not asked again once it has passed", async () => {
    let asked = 0;
    const { clock, faulty, events } = await startAgent({ readyWhen: () => void asked++ });
    faulty.restart();
    await clock.advance(30_000);
    assert.deepEqual(events, ["registered", "lost", "registered"]);
    assert.equal(asked, 1);
  });

  it("is given up and asked again when it hangs", async () => {
    let asked = 0;
    const { agent, clock } = makeAgent({ readyWhen: () => (asked++ === 0 ? new Promise(() => {}) : true) });
    const started = agent.start();
    await clock.advance(31_000);
    await started;
    assert.equal(asked, 2);
  });

  it("ends with stop(), and hears of it", async () => {
    let heard: AbortSignal | undefined;
    const { agent, clock, events } = makeAgent({
      readyWhen: ({ signal }) => {
        heard = signal;
        return new Promise(() => {});
      },
    });
    const started = agent.start().catch((error: unknown) => error);
    await clock.advance(100);
    await agent.stop();
    assert.ok(DiscoveryError.is(await started, "CLOSED"));
    assert.ok(heard?.aborted);
    assert.deepEqual(events, ["stopped"]);
    assert.equal(clock.pending, 0, "no timer is left");
  });

  it("must be a function", () => {
    assert.throws(() => makeAgent({ readyWhen: true as never }), /agent\.readyWhen must be a function, got true/);
  });
});
