import assert from "node:assert/strict";
import { afterEach, describe, it } from "vitest";
import { DiscoveryError } from "../../src/model/errors.js";
import type { ServiceInstance } from "../../src/model/instance.js";
import { JointRegistrar, type Spread } from "../../src/registry/joint-registrar.js";
import { memoryRegistry } from "../../src/registry/memory.js";
import type { Registrar, Registry } from "../../src/registry/registry.js";
import { ManualClock } from "../../src/testing/index.js";
import { orders } from "../fakes/scripted-registry.js";
import { switched } from "../fakes/switched-registry.js";

const { signal } = new AbortController();
const [one] = orders(1) as [ServiceInstance];
const FIRST = "the first holder's secret";
const SECOND = "the second holder's secret";
const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe("JointRegistrar", () => {
  for (const spread of ["all", "first"] as const) {
    it(`does not let whoever was replaced come back by a late registration, with ${spread}`, async () => {
      const { joint, registries } = start(spread);
      await joint.register(one, { ...terms, holder: FIRST });
      const { id } = await joint.register(one, { ...terms, holder: SECOND });
      await assert.rejects(joint.register(one, { ...terms, holder: FIRST }), coded("ID_CONFLICT"));
      const { unknown } = await joint.renew([{ lease: { id, instance: one, ...granted } }], { signal });
      assert.deepEqual(unknown, []);
      assert.equal(registries[0].counters.replaced, 1);
    });

    it(`goes on with the lease it granted when a registration comes twice, with ${spread}`, async () => {
      const { joint, registries } = start(spread);
      const before = await joint.register(one, { ...terms, holder: FIRST });
      const again = await joint.register(one, { ...terms, holder: FIRST });
      assert.equal(again.id, before.id);
      assert.equal(registries[0].counters.registered, 1);
    });

    it(`lets an update that comes late change nothing, with ${spread}`, async () => {
      const { joint, weights } = start(spread);
      const lease = await joint.register(one, { ...terms, holder: FIRST, edition: 0 });
      await joint.update(lease, { ...one, weight: 2 }, { signal, edition: 2 });
      await joint.update(lease, { ...one, weight: 1 }, { signal, edition: 1 });
      assert.deepEqual(await weights(), spread === "all" ? [2, 2] : [2, undefined]);
    });
  }

  it("passes on that an instance must be able to die alone", async () => {
    const { joint, asked } = start("all");
    await joint.register(one, { ...terms, alone: true });
    assert.deepEqual(asked, [true, true]);
  });

  it("tells one that it takes in later what is newest, although a registration of before came again", async () => {
    const { joint, first, clock, weights } = start("first");
    const lease = await joint.register(one, { ...terms, holder: FIRST, edition: 0 });
    await joint.update(lease, { ...one, weight: 7 }, { signal, edition: 1 });
    await joint.register(one, { ...terms, holder: FIRST, edition: 0 }); // it was doubled on its way
    first.is = "away";
    await clock.advance(10_000);
    await joint.renew([{ lease }], { signal });
    assert.deepEqual(await weights(), [7, 7]);
  });

  it("does not take in who has left, also with one that did not hear the goodbye", async () => {
    const { joint, second, registries, clock } = start("all");
    const lease = await joint.register(one, { ...terms, holder: FIRST });
    second.is = "away";
    await joint.deregister(lease, { signal });
    second.is = "there";
    await assert.rejects(joint.register(one, { ...terms, holder: FIRST }), coded("REJECTED"));
    await clock.advance(31_000);
    assert.deepEqual(sizes(registries), [0, 0]);
  });

  it("comes back to a registry it has left, each time it has to", async () => {
    const { joint, first, registries, clock } = start("first");
    const lease = await joint.register(one, { ...terms, holder: FIRST });
    for (let round = 0; round < 3; round++) {
      first.is = "away";
      await beating(joint, lease, clock, 40_000);
      assert.deepEqual(sizes(registries), [0, 1], `away, round ${round}`);
      first.is = "there";
      await beating(joint, lease, clock, 60_000);
      assert.deepEqual(sizes(registries), [1, 0], `back, round ${round}`);
    }
  });

  it("comes back after another has held its id in one of them", async () => {
    const { joint, second, registries } = start("all");
    const other = { ...(orders(2)[0] as ServiceInstance), id: one.id };
    const held = await second.registry.register(other, terms);
    await assert.rejects(joint.register(one, { ...terms, holder: FIRST }), coded("ID_CONFLICT"));
    await second.registry.deregister(held, { signal });
    await joint.register(one, { ...terms, holder: FIRST });
    assert.deepEqual(sizes(registries), [1, 1]);
  });

  it("leaves the others within a second when one of them hangs", async () => {
    const { joint, second, registries, clock } = start("all");
    const lease = await joint.register(one, terms);
    second.is = "silent";
    let over = false;
    const left = joint.deregister(lease, { signal }).then(() => {
      over = true;
    });
    await clock.advance(1_000);
    assert.deepEqual([over, registries[0].size], [true, 0]);
    await left;
  });

  it("does not take in again, by a beat still under way, who has left", async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const { joint, registries } = start("all", gate);
    const lease = await joint.register(one, terms);
    const beat = joint.renew([{ lease }], { signal });
    await new Promise(setImmediate); // the second has answered, the first takes its time
    await joint.deregister(lease, { signal });
    open();
    await beat;
    assert.deepEqual(sizes(registries), [0, 0]);
  });

  it("leaves a registry that takes it in only after it has left", async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const { joint, second, registries, clock } = start("all");
    second.is = "away";
    const lease = await joint.register(one, terms);
    second.is = "there";
    const { register } = second.registry;
    second.registry.register = (...given) => gate.then(() => register(...given));
    await clock.advance(5_000);
    const beat = joint.renew([{ lease }], { signal });
    await new Promise(setImmediate); // the second is being asked
    await joint.deregister(lease, { signal });
    open();
    await beat;
    assert.deepEqual(sizes(registries), [0, 0]);
  });
});

const terms = { ttlMs: 30_000, signal };
const granted = { ttlMs: 30_000, heartbeatMs: 10_000 };

/** Two memory registries behind switches, as one. @param gate before it, the first answers no beat */
function start(spread: Spread, gate?: Promise<void>) {
  const clock = new ManualClock();
  const asked: unknown[] = [];
  const registries = [0, 1].map(() => memoryRegistry({ clock, random: () => 0.5, warmingMs: 0 })) as [Memory, Memory];
  opened.push(...registries);
  const [first, second] = registries.map((memory, index) => {
    const port: Registry = {
      name: memory.name,
      capabilities: memory.capabilities,
      list: (service, options) => memory.list(service, options),
      register: (instance, options) => {
        asked.push(options.alone);
        return memory.register(instance, options);
      },
      renew: async (beats) => {
        if (index === 0) await gate;
        return memory.renew(beats);
      },
      update: (lease, instance, options) => memory.update(lease, instance, index === 0 ? options : {}), // it knows no editions
      deregister: (lease) => memory.deregister(lease),
      close: () => memory.close(),
    };
    return switched(`number ${index + 1}`, port);
  }) as [ReturnType<typeof switched>, ReturnType<typeof switched>];
  const joint = new JointRegistrar([first.registry, second.registry], spread, clock);
  const weights = async (): Promise<(number | undefined)[]> => {
    const lists = await Promise.all(registries.map((each) => each.list("orders")));
    return lists.map((list) => (list.type === "reset" ? list.instances[0]?.weight : undefined));
  };
  return { clock, asked, registries, first, second, joint, weights };
}

type Memory = ReturnType<typeof memoryRegistry>;

function sizes(registries: readonly Memory[]): number[] {
  return registries.map(({ size }) => size);
}

/** Lets time pass in which the lease beats every five seconds. */
async function beating(
  joint: Pick<Registrar, "renew">,
  lease: Parameters<Registrar["update"]>[0],
  clock: ManualClock,
  ms: number,
) {
  for (let left = ms; left > 0; left -= 5_000) {
    await clock.advance(5_000);
    const renewal = joint.renew([{ lease }], { signal });
    await clock.advance(1_000);
    assert.deepEqual((await renewal).unknown, []);
  }
}

function coded(code: "ID_CONFLICT" | "REJECTED"): (error: unknown) => boolean {
  return (error) => DiscoveryError.is(error, code);
}
