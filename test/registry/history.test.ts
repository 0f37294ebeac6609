import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import { DiscoveryError, defineInstance, type Lease, type ServiceInstance } from "../../src/index.js";
import { applyUpdate } from "../../src/model/update.js";
import type { ObservedStatus } from "../../src/registry/status.js";
import { signal, stage } from "./stage.js";

const TTL_MS = 30_000;
const STATUSES = ["starting", "healthy", "draining"] as const;
/** Two processes that follow each other on one address, one that claims their id elsewhere, and one by itself. */
const PROCESSES = [
  { id: "a", port: 1 },
  { id: "a", port: 1 },
  { id: "a", port: 2 },
  { id: "b", port: 3 },
] as const;

type Fate = "arrives" | "is lost" | "arrives twice" | "arrives later";

interface Step {
  readonly act: "register" | "renew" | "update" | "deregister" | "observe" | "advance" | "stall" | "deliver" | "follow";
  readonly process: number;
  readonly fate: Fate;
  readonly ms: number;
  /** Chooses among a few: a lease of before, a status, a message under way. */
  readonly pick: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  act: fc.constantFrom(
    ...(["register", "renew", "renew", "renew", "update", "deregister", "observe"] as const),
    ...(["advance", "advance", "stall", "deliver", "deliver", "follow"] as const),
  ),
  process: fc.nat(PROCESSES.length - 1),
  fate: fc.constantFrom("arrives" as const, "arrives" as const, "is lost", "arrives twice", "arrives later"),
  ms: fc.nat(40_000),
  pick: fc.nat(11),
});

describe("a memory registry's history", () => {
  it("has no resurrection, no step back, no gap, and one holder per id, whatever is lost, late or doubled", async () => {
    const stories = fc.asyncProperty(fc.array(step, { maxLength: 80, size: "max" }), async (steps) => {
      const history = new History();
      for (const each of steps) await history.take(each);
      await history.end();
    });
    await fc.assert(stories, { numRuns: 500, seed: 4 });
  });
});

interface Life {
  readonly lease: Lease;
  /** When it last gave a sign of life, in the time the registry did not stand still; and how often it did since. */
  beatAt: number;
  stalls: number;
  declared: string;
  seen: ObservedStatus;
  ended: boolean;
}

/** Does to a registry what the steps say, and knows what must be true after each. */
class History {
  readonly #on = stage({ random: () => 0.5 });
  readonly #lives = new Map<string, Life>();
  readonly #leases: Lease[][] = PROCESSES.map(() => []);
  readonly #underWay: (() => Promise<void>)[] = [];
  readonly #followed: { readonly since: string; readonly known: Map<string, ServiceInstance> }[] = [];
  #lived = 0;
  #revision = 0;

  async take({ act, process, fate, ms, pick }: Step): Promise<void> {
    const lease = this.#leases[process]?.at(-1 - (pick % 3)) ?? this.#leases[process]?.at(-1);
    if (act === "advance") await this.#pass(ms);
    else if (act === "stall") await this.#stall(ms * 3);
    else if (act === "follow") await this.#follow();
    else if (act === "deliver") await this.#underWay.splice(pick % Math.max(1, this.#underWay.length), 1)[0]?.();
    else if (act === "register") await this.#send(fate, () => this.#register(process, STATUSES[pick % 3]));
    else if (lease) await this.#send(fate, () => this.#say(act, lease, pick));
    await this.#check();
  }

  /** Whoever followed from any point of the history must now know what the list says. */
  async end(): Promise<void> {
    await this.#follow();
    const listed = await this.#listed();
    for (const { since, known } of this.#followed) {
      const halt = new AbortController();
      const watch = this.#on.registry.watch("orders", { since, signal: halt.signal });
      const { value } = await watch.next();
      applyUpdate(known, value);
      halt.abort();
      await watch.next();
      assert.deepEqual(new Map([...known].sort()), listed);
    }
    await this.#on.registry.close();
    assert.equal(this.#on.clock.pending, 0);
  }

  async #send(fate: Fate, message: () => Promise<void>): Promise<void> {
    if (fate === "is lost") return;
    if (fate === "arrives later") return void this.#underWay.push(message);
    await message();
    if (fate === "arrives twice") await message();
  }

  async #register(process: number, status: (typeof STATUSES)[number] | undefined): Promise<void> {
    const { id, port } = PROCESSES[process] as (typeof PROCESSES)[number];
    const instance = defineInstance({ service: "orders", host: "127.0.0.1", id, port, status });
    const holder = [...this.#lives.values()].find(({ lease, ended }) => !ended && lease.instance.id === id);
    const rival = holder && holder.lease.instance.port !== port ? holder : undefined;
    try {
      const lease = await this.#on.registry.register(instance, { ttlMs: TTL_MS, signal });
      if (rival) assert.ok(this.#mayBeOver(rival), "a live holder on another address gave way");
      if (holder) holder.ended = true;
      assert.equal(lease.replaced, holder !== undefined);
      this.#leases[process]?.push(lease);
      const life = { lease, declared: lease.instance.status, seen: "healthy" as const, ended: false, ...this.#now() };
      this.#lives.set(lease.id, life);
      const listed = (await this.#listed()).get(id);
      assert.equal(listed?.incarnation, lease.instance.incarnation, "a registration is read by whoever wrote it");
    } catch (error) {
      assert.ok(DiscoveryError.is(error, "ID_CONFLICT"), String(error));
      assert.ok(rival && !this.#isOver(rival), "a conflict with nobody");
    }
  }

  async #say(act: Step["act"], lease: Lease, pick: number): Promise<void> {
    const { registry } = this.#on;
    const life = this.#lives.get(lease.id) as Life;
    const before = registry.revision;
    const gone = life.ended;
    if (act === "observe") {
      life.seen = (["healthy", "unstable", "failed"] as const)[pick % 3] as ObservedStatus;
      registry.observe(lease.id, life.seen);
      if (!registry.lease(lease.id)) life.ended = true; // evidence against a suspect
    } else if (act === "deregister") {
      await registry.deregister(lease);
      life.ended = true;
      assert.notEqual((await this.#listed()).get(lease.instance.id)?.incarnation, lease.instance.incarnation);
    } else if (act === "update") {
      const weight = pick + 1;
      const asked = registry.update(lease, { ...lease.instance, weight, status: "healthy" });
      if (gone) await assert.rejects(asked, /LEASE_LOST/);
      else assert.equal((await asked).instance.weight, weight);
      if (!gone) life.declared = "healthy";
    } else {
      const status = STATUSES[pick % 4];
      const { unknown, statuses } = await registry.renew([{ lease, status }]);
      assert.equal(unknown.length, gone ? 1 : 0, "a beat is known as long as its lease is held");
      assert.equal(statuses?.get(lease.id) ?? "healthy", registry.lease(lease.id)?.instance.status ?? "healthy");
      if (!gone) Object.assign(life, this.#now(), status ? { declared: status } : {});
    }
    if (gone) assert.equal(registry.revision, before, `${act} of a life that had ended`);
  }

  /** What must hold at any moment. */
  async #check(): Promise<void> {
    const { registry } = this.#on;
    assert.ok(registry.revision >= this.#revision, "a revision stepped back");
    this.#revision = registry.revision;
    const listed = await this.#listed();
    for (const life of this.#lives.values()) {
      const { lease, declared, seen } = life;
      const held = registry.lease(lease.id);
      const mine = listed.get(lease.instance.id);
      const isListed = mine?.incarnation === lease.instance.incarnation;
      if (life.ended) assert.ok(!held && !isListed, `${lease.instance.id} came back`);
      else if (!held) {
        assert.ok(this.#mayBeOver(life), `${lease.instance.id} was evicted while it lived`);
        life.ended = true;
      } else {
        assert.ok(!this.#mustBeGone(life), "a dead instance outlived every guard");
        assert.equal(isListed, declared === "starting" || seen !== "failed");
        if (isListed && declared !== "healthy") assert.equal(mine?.status, declared);
        if (isListed && declared === "healthy" && seen === "unstable") assert.equal(mine?.status, "unstable");
      }
    }
    assert.equal([...this.#lives.values()].filter(({ ended }) => !ended).length, registry.size);
  }

  async #listed(): Promise<Map<string, ServiceInstance>> {
    const update = await this.#on.registry.list("orders");
    return new Map(update.type === "reset" ? update.instances.map((instance) => [instance.id, instance]) : []);
  }

  async #follow(): Promise<void> {
    const update = await this.#on.registry.list("orders");
    if (update.type !== "reset" || update.position === undefined) return;
    this.#followed.push({ since: update.position, known: await this.#listed() });
  }

  async #pass(ms: number): Promise<void> {
    await this.#on.clock.advance(ms);
    this.#lived += ms;
  }

  async #stall(ms: number): Promise<void> {
    for (const life of this.#lives.values()) life.stalls++;
    await this.#on.clock.stall(ms);
  }

  #now(): { beatAt: number; stalls: number } {
    return { beatAt: this.#lived, stalls: 0 };
  }

  /** Of each standstill at most a second counts: until the next look at the clock, and what is too short to be one. */
  #mayBeOver({ beatAt, stalls }: Life): boolean {
    return this.#lived - beatAt + stalls * 1_000 >= TTL_MS;
  }

  #isOver({ beatAt }: Life): boolean {
    return this.#lived - beatAt >= TTL_MS + 1_000;
  }

  #mustBeGone({ beatAt }: Life): boolean {
    return this.#lived - beatAt >= 4 * TTL_MS + 2_000;
  }
}
