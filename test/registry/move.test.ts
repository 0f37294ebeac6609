import assert from "node:assert/strict";
import { setTimeout as pass } from "node:timers/promises";
import { describe, it } from "vitest";
import { createAgent, createResolver, failover, http, memoryRegistry, merge, type Registry } from "../../src/index.js";
import { createRegistryServer } from "../../src/server/index.js";

type Consumer = ReturnType<typeof consumerOf>;

describe("a team that moves from one registry to another", () => {
  it("fails no pick, from everybody on the old one to everybody on the new one and the old one gone", async () => {
    const memories = [memoryRegistry(), memoryRegistry()];
    const sizes = (): number[] => memories.map(({ size }) => size);
    const [oldServer, newServer] = memories.map((registry) => createRegistryServer({ port: 0, registry }));
    const [oldUrl, newUrl] = await Promise.all([oldServer!.listen(), newServer!.listen()]);
    const both = (): Registry => merge(http({ url: oldUrl }), http({ url: newUrl }));

    const agents = await Promise.all([1, 2, 3].map((port) => agentOn(http({ url: oldUrl }), port)));
    let consumers = [consumerOf(http({ url: oldUrl })), consumerOf(http({ url: oldUrl }))];
    await Promise.all(consumers.map(({ ready }) => ready));
    const picks = picking(() => consumers);

    // one agent after the other restarts, registered with both
    for (const [index, agent] of agents.entries()) {
      await agent.stop();
      agents[index] = await agentOn(both(), index + 1);
    }
    assert.deepEqual(sizes(), [3, 3]);

    // one consumer after the other: first on both, then on the new one, which it knows to have the old one behind it
    consumers = await replaced(consumers, 0, consumerOf(both()));
    consumers = await replaced(consumers, 1, consumerOf(failover(http({ url: newUrl }), http({ url: oldUrl }))));

    // agents leave the old one, and come by the new one alone
    for (const [index, agent] of agents.entries()) {
      await agent.stop();
      agents[index] = await agentOn(http({ url: newUrl }), index + 1);
    }
    assert.deepEqual(sizes(), [0, 3]);

    await oldServer!.close(); // sooner than its last readers have moved
    await pass(300);
    consumers = await replaced(consumers, 0, consumerOf(http({ url: newUrl })));
    await pass(200);

    const { done, failures } = await picks.end();
    assert.deepEqual(failures, []);
    assert.ok(done > 100, `${done} picks`);
    assert.deepEqual(
      consumers.map(({ service }) => service.instances().length),
      [3, 3],
    );

    await Promise.all([...consumers.map((each) => each.close()), ...agents.map((agent) => agent.stop())]);
    await newServer!.close();
  });
});

async function agentOn(registry: Registry, port: number) {
  const agent = createAgent({ service: "orders", host: "127.0.0.1", port, registry });
  await agent.start();
  const stop = agent.stop.bind(agent);
  return Object.assign(agent, { stop: () => stop().finally(() => registry.close()) });
}

function consumerOf(registry: Registry) {
  const resolver = createResolver({ registry });
  const service = resolver.service("orders");
  const close = (): Promise<void> => resolver.close().then(() => registry.close());
  return { service, ready: service.ready(), close };
}

async function replaced(consumers: readonly Consumer[], index: number, next: Consumer): Promise<Consumer[]> {
  await next.ready;
  const before = consumers[index];
  setImmediate(() => void before?.close());
  return consumers.map((each, at) => (at === index ? next : each));
}

/** Picks at every consumer, every few milliseconds. */
function picking(consumers: () => readonly Consumer[]) {
  const failures: string[] = [];
  let done = 0;
  const timer = setInterval(() => {
    for (const { service } of consumers()) {
      try {
        service.pickNow().release();
        done++;
      } catch (error) {
        failures.push(`after ${done} picks: ${error}`);
      }
    }
  }, 5);
  const end = async () => {
    clearInterval(timer);
    return { done, failures };
  };
  return { end };
}
