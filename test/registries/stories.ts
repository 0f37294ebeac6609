import assert from "node:assert/strict";
import { createAgent, createResolver, type Registry, type Service } from "../../src/index.js";
import { systemClock } from "../../src/runtime/clock.js";

/** It is restarted empty: three agents are back by themselves, and a resolver serves without a break. */
export async function servesThroughRestart(
  registry: Registry | string,
  { ttlMs, restart }: { readonly ttlMs: number; restart(): Promise<void> },
): Promise<void> {
  const agents = [3_001, 3_002, 3_003].map((port) =>
    createAgent({ registry, service: "restarted", host: "127.0.0.1", port, ttlMs, drainMs: 0 }),
  );
  const [resolver, another] = [createResolver({ registry }), createResolver({ registry })];
  const service = resolver.service("restarted");
  try {
    await Promise.all(agents.map((agent) => agent.start()));
    await service.ready({ instances: 3 });
    const picks = picking(service);
    await restart();
    await another.service("restarted").ready({ instances: 3 }); // it knows nothing of before
    while (service.instances().length !== 3 || service.snapshot.suspects.length > 0) await systemClock.sleep(20);
    const { count, misses } = await picks.end();
    assert.ok(count > 20, `${count} picks`);
    assert.equal(misses, 0);
  } finally {
    await Promise.all([...agents, resolver, another].map((each) => each.close()));
  }
}

/** A service's last instance leaves in good order: first it drains, to everybody, then it is gone without any doubt. */
export async function leavesInGoodOrder(
  registry: Registry | string,
  whenDraining: () => Promise<void> = async () => {},
): Promise<void> {
  const agent = createAgent({ registry, service: "last-one", host: "127.0.0.1", port: 3_001, drainMs: 0 });
  const resolver = createResolver({ registry });
  const service = resolver.service("last-one");
  try {
    await agent.start();
    await service.ready({ instances: 1 });
    await agent.drain();
    while (service.instances()[0]?.status !== "draining") await systemClock.sleep(20);
    await whenDraining();
    await agent.stop();
    while (service.instances().length > 0) {
      assert.deepEqual(service.snapshot.suspects, []);
      await systemClock.sleep(20);
    }
  } finally {
    for (const each of [agent, resolver]) await each.close();
  }
}

/** Picks all the time, and counts what fails. */
export function picking(service: Service) {
  let [count, misses] = [0, 0];
  let isOver = false;
  const picked = (async () => {
    for (; !isOver; count++) {
      try {
        service.pickNow().release();
      } catch {
        misses++;
      }
      await systemClock.sleep(10);
    }
  })();
  const end = async () => {
    isOver = true;
    await picked;
    return { count, misses };
  };
  return { end };
}
