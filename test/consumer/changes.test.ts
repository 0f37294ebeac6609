import assert from "node:assert/strict";
import { afterEach, describe, it } from "vitest";
import { type Change, createResolver, defineInstance, type Lease } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { faultyRegistry } from "../fakes/registrar.js";

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe("changes", () => {
  it("begins with what is known, and goes on with what differs", async () => {
    const { clock, resolver, register, deregister } = start();
    const lease = await register(3_000);
    const orders = resolver.service("orders");
    const seen = collect(orders.changes());
    await clock.advance(10);
    await register(3_001);
    await clock.advance(10);
    await deregister(lease);
    await clock.advance(10);
    assert.deepEqual(seen.map(shown), ["+3000", "+3001", "-3000"]);
    assert.equal(seen.at(-1)?.snapshot, orders.snapshot);
  });

  it("gives a slow reader one difference from what it saw last", async () => {
    const { clock, resolver, register, deregister } = start();
    const lease = await register(3_000);
    const changes = resolver.service("orders").changes();
    const first = changes.next();
    await clock.advance(10);
    assert.equal(shown((await first).value as Change), "+3000");
    for (const port of [3_001, 3_002, 3_003]) {
      const passing = await register(port);
      await clock.advance(10);
      if (port === 3_002) await deregister(passing);
    }
    await deregister(lease);
    await clock.advance(10);
    assert.equal(shown((await changes.next()).value as Change), "+3001 +3003 -3000");
  });

  it("tells of a service that has nobody, once", async () => {
    const { clock, resolver } = start();
    const orders = resolver.service("orders");
    const seen = collect(orders.changes());
    await clock.advance(60_000);
    assert.deepEqual(
      seen.map(({ snapshot }) => snapshot.state),
      ["absent"],
    );
  });

  it("ends without an error when the signal aborts, before or while it waits", async () => {
    const { clock, resolver } = start();
    const orders = resolver.service("orders");
    await clock.advance(10);
    assert.deepEqual(await orders.changes({ signal: AbortSignal.abort() }).next(), { value: undefined, done: true });
    const halt = new AbortController();
    const changes = orders.changes({ signal: halt.signal });
    await changes.next();
    const next = changes.next();
    await clock.advance(10);
    halt.abort();
    assert.deepEqual(await next, { value: undefined, done: true });
  });

  it("ends when the resolver is closed", async () => {
    const { clock, resolver } = start();
    const orders = resolver.service("orders");
    await clock.advance(10);
    const changes = orders.changes();
    await changes.next();
    const next = changes.next();
    await clock.advance(10);
    await resolver.close();
    assert.deepEqual(await next, { value: undefined, done: true });
  });

  it("keeps a service watched that nobody calls, and leaves nothing behind", async () => {
    const { clock, resolver, faulty, register } = start();
    const orders = resolver.service("orders");
    const halt = new AbortController();
    const seen = collect(orders.changes({ signal: halt.signal }));
    await clock.advance(3_600_000);
    await register(3_000);
    await clock.advance(10);
    assert.equal(seen.length, 2);
    halt.abort();
    await clock.advance(1_200_000);
    faulty.calls.length = 0;
    await clock.advance(600_000);
    assert.equal(faulty.calls.length, 0, "the watch rests once nobody looks");
  });
});

function start() {
  const clock = new ManualClock();
  const faulty = faultyRegistry(clock);
  const resolver = createResolver({ registry: faulty.registry, clock, random: () => 0.5 });
  opened.push(resolver);
  const register = (port: number): Promise<Lease> =>
    faulty.memory.register(defineInstance({ service: "orders", host: "127.0.0.1", port }), {
      ttlMs: 86_400_000,
      signal: new AbortController().signal,
    });
  const deregister = (lease: Lease): Promise<unknown> => faulty.memory.deregister(lease);
  return { clock, faulty, resolver, register, deregister };
}

function collect(changes: AsyncIterable<Change>): Change[] {
  const seen: Change[] = [];
  void (async () => {
    for await (const change of changes) seen.push(change);
  })();
  return seen;
}

function shown({ difference: { added, updated, removed } }: Change): string {
  const signed = (sign: string, list: readonly { port: number }[]): string[] => list.map(({ port }) => sign + port);
  return [...signed("+", added), ...signed("~", updated), ...signed("-", removed)].join(" ");
}
