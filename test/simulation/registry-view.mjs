import { WARMING_MS } from "./nodes.mjs";

/** A lease may end this much after its ttl, in milliseconds: one sweep. */
const SWEEP_MS = 1_000;
/** What one pause of the registry may cost a lease, in milliseconds: up to the next tick, and a stall too short to see. */
const PAUSE_COST_MS = 1_500;

/** The stretch of time over which requests are counted, in milliseconds. */
const WINDOW_MS = 100;
/** Fewer providers than this are no fleet. */
const CROWD = 50;
/** A fleet that is told something at one instant speaks at once; its beats are counted after that, in milliseconds. */
const COMMAND_MS = 2_000;

/** So many leases of a service may end within so many milliseconds without evidence, or one. */
const EXPIRING_SHARE = 0.15;
const EXPIRING_MS = 10_000;
/** So many ttls a lease may outlast its own where too many ended at once. */
const EXIT_TTLS = 3;

/** Why somebody may be taken away at once. */
const DECISIONS = new Set(["deregistered", "replaced", "evicted"]);

/** Names one life of an instance, over all lives of the registry. */
export function keyOf({ id, incarnation, registeredAt }) {
  return `${id}#${incarnation}@${registeredAt}`;
}

/** One life of the registry as an all-seeing observer knows it: who is listed, by whose lease, kept by which beats. */
export class RegistryView {
  /** What is listed: id to `{ instance, at }`. */
  listed = new Map();
  #world;
  #checks;
  #node;
  #halt = new AbortController();
  #leases = new Map();
  #byLife = new Map();
  #unlistedAt = new Map();
  #recent = [];
  #ended = new Map();
  /** When it last kept somebody whose lease was over, in its own waking time. */
  #preservedMs = Number.NEGATIVE_INFINITY;

  /** @param before the life whose leases it goes on with, if any */
  constructor(world, checks, node, before) {
    this.#world = world;
    this.#checks = checks;
    this.#node = node;
    this.memory = node.memory;
    if (before) this.#goesOnWith(before);
    for (const service of world.serviceNames) this.#observe(service).catch(() => {});
  }

  end() {
    this.#halt.abort();
  }

  /** Every lease begins its ttl anew; all else that is known of it holds. */
  #goesOnWith(before) {
    const { ownMs, pauses } = this.#node.process;
    for (const [leaseId, lease] of before.#leases) {
      const restored = { ...lease, renewedMs: ownMs, pauses };
      this.#leases.set(leaseId, restored);
      this.#byLife.set(lease.incarnation, restored);
    }
  }

  /** What has been listed for at least so long. */
  listedFor(ms) {
    const { now } = this.#world;
    return [...this.listed.values()].filter(({ at }) => now - at >= ms).map(({ instance }) => instance);
  }

  /** Whether this provider's present life is listed. */
  lists({ id, life }) {
    const entry = this.listed.get(id);
    return entry !== undefined && this.#byLife.get(entry.instance.incarnation)?.life === life;
  }

  /** Since when an id has not been listed while that means something; undefined while it is. */
  missingSince(id) {
    if (this.listed.has(id)) return undefined;
    return Math.max(this.#unlistedAt.get(id) ?? 0, this.#node.bootedAt + WARMING_MS / this.#node.process.rate);
  }

  /** A request has reached the server. P-2: a fleet must not come all at once. */
  asked({ process }) {
    const { now, providers, beatMs, commandedAt } = this.#world; // a crowd's clocks are right
    if (providers.length < CROWD || process.owner === undefined || now - commandedAt < COMMAND_MS) return;
    if (now - this.#node.process.resumedAt < WINDOW_MS) return; // what its kernel had kept
    const recent = this.#recent;
    recent.push(now);
    while (recent[0] < now - WINDOW_MS) recent.shift();
    const fair = 3 * providers.length * (WINDOW_MS / beatMs);
    const most = fair + 5 * Math.sqrt(fair) + 3; // chance alone: once in a million windows at that very rate
    if (recent.length <= most) return;
    this.#checks.fail("P-2", `${recent.length} requests within ${WINDOW_MS} ms; ${most.toFixed(0)} are fair`);
  }

  /** The server has answered a request. */
  answered({ request, process }, status, text) {
    if (request.method !== "POST" || status >= 300 || request.path === "/v1/watch") return;
    const body = JSON.parse(text);
    const { ownMs, pauses } = this.#node.process;
    if (request.path === "/v1/register") {
      const { lease_id, id, incarnation, ttl } = body;
      const lease = {
        id,
        incarnation,
        life: process.owner,
        ttlMs: ttl * 1_000,
        renewedMs: ownMs,
        pauses,
        leaving: false,
      };
      if (process.owner?.hasLeft) this.#checks.fail("R-5", `${id} is registered again after it had left`);
      this.#leases.set(lease_id, lease);
      this.#byLife.set(incarnation, lease);
    } else if (request.path === "/v1/heartbeat") {
      for (const { lease_id } of body.renewed) {
        const lease = this.#leases.get(lease_id);
        if (lease) Object.assign(lease, { renewedMs: ownMs, pauses });
      }
    } else if (request.path === "/v1/deregister") {
      const lease = this.#leases.get(JSON.parse(request.body).lease_id);
      if (lease) lease.leaving = true;
    }
  }

  settled() {
    const { size, suspects } = this.memory;
    if (suspects > 0) this.#preservedMs = this.#node.process.ownMs;
    if (size !== this.listed.size) {
      this.#checks.fail("P-7", `${size} leases are alive for ${this.listed.size} instances that are listed`);
    }
  }

  /** Long after the last fault: those who live are listed, and nobody else. */
  mustBeExact(act) {
    const up = this.#world.providers.filter(({ isUp }) => isUp);
    for (const provider of up) {
      const { weight } = provider.life.agent.instance;
      if (!this.lists(provider)) this.#checks.fail("L-1", `${act}: ${provider.host} is not listed`);
      else if (this.listed.get(provider.id).instance.weight !== weight) {
        this.#checks.fail("L-1", `${act}: ${provider.host} is listed without weight ${weight}`);
      }
    }
    const alive = new Set(up.map(({ id }) => id));
    for (const id of this.listed.keys()) {
      if (!alive.has(id)) this.#checks.fail("L-2", `${act}: ${id} is dead and listed`);
    }
  }

  async #observe(service) {
    for await (const update of this.memory.watch(service, { signal: this.#halt.signal })) {
      const { now } = this.#world;
      const upserted = update.type === "reset" ? update.instances : (update.upserted ?? []);
      if (now === this.#node.bootedAt) for (const each of upserted) this.#world.restored.add(keyOf(each));
      for (const instance of upserted) {
        this.#world.note(`r lists ${instance.id} incarnation ${instance.incarnation}`);
        const key = keyOf(instance);
        if (!this.#world.births.has(key)) this.#world.births.set(key, now);
        this.listed.set(instance.id, { instance, at: now });
      }
      for (const { id, reason } of update.removed ?? []) this.#removed(id, reason);
    }
  }

  #removed(id, reason) {
    const { now } = this.#world;
    this.#world.note(`r drops ${id}: ${reason}`);
    const { instance } = this.listed.get(id) ?? {};
    this.listed.delete(id);
    this.#unlistedAt.set(id, now);
    this.#world.removals.set(id, now);
    if (DECISIONS.has(reason)) this.#world.decisions.set(id, now);
    const lease = this.#byLife.get(instance?.incarnation);
    if (!lease) return;
    if (reason === "deregistered" && !lease.leaving && !lease.life.stopped) {
      this.#checks.fail("P-9", `${id} lives, and was deregistered by a life before it`);
    }
    if (reason === "deregistered") lease.life.hasLeft = true;
    if (reason === "expired") this.#expired(lease, instance);
  }

  /** not too many at once. */
  #counts({ service }) {
    const now = this.#node.process.ownMs;
    const ended = (this.#ended.get(service) ?? []).filter((at) => now - at < EXPIRING_MS - 0.01);
    ended.push(now);
    this.#ended.set(service, ended);
    const left = [...this.listed.values()].filter(({ instance }) => instance.service === service).length;
    const most = Math.max(1, Math.floor((left + ended.length) * EXPIRING_SHARE));
    if (ended.length <= most) return;
    this.#checks.fail("R-4", `${ended.length} of ${left + ended.length} leases of ${service} ended at once`);
  }

  #expired(lease, instance) {
    const { id, life, ttlMs, renewedMs, pauses } = lease;
    const { process } = this.#node;
    const silentMs = process.ownMs - renewedMs;
    const paused = process.pauses - pauses;
    const said = `${id} (${life.host}) was evicted ${silentMs.toFixed(0)} ms after its last beat; ttl ${ttlMs} ms`;
    if (silentMs < ttlMs - paused * PAUSE_COST_MS - 0.01) {
      this.#checks.fail(paused > 0 ? "R-2" : "R-1", `${said}; the registry stood still ${paused} times`);
    }
    const isPreserved = this.#preservedMs >= renewedMs + ttlMs;
    const mostMs = ttlMs * (isPreserved ? 1 + EXIT_TTLS : 1) + SWEEP_MS;
    if (silentMs > mostMs + 0.01) this.#checks.fail(isPreserved ? "R-4" : "R-1", said);
    if (paused === 0 && silentMs < ttlMs * (1 + EXIT_TTLS) && instance.status !== "draining") this.#counts(instance);
  }
}
