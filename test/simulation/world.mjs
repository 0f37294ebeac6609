import { setMaxListeners } from "node:events";
import { ACTS } from "./acts.mjs";
import { Checks } from "./checks.mjs";
import { Dice } from "./dice.mjs";
import { Network } from "./network.mjs";
import { ConsumerNode, ProviderNode, REGISTRY, RegistryNode } from "./nodes.mjs";
import { Scheduler } from "./scheduler.mjs";

/** How many of the last happenings a violation quotes. */
const QUOTED = 50;
const TTLS_MS = [9_000, 15_000, 30_000, 30_000, 30_000];

/** The share of worlds with many providers, and what these are like: short, for each of them costs as much as hours. */
const CROWDS = 0.03;
const CROWD = { providers: 120, hours: 0.05, ttlMs: 9_000 };

/** The share of worlds in which the registry keeps its leases on a disk. */
const DISKS = 0.4;
/** The share of worlds in which consumers keep their lists on a disk. */
const SHELVES = 0.5;
/** The share of worlds in which the monotonic clock of one host runs at half the speed, or at twice. */
const ODD_CLOCKS = 0.08;

/**
 * How a world is made; what is undefined its seed decides.
 *
 * @typedef {object} Profile
 * @property {number} [hours] of virtual time
 * @property {Readonly<Record<string, number>>} [weights] of acts, by name: only these are played
 * @property {number} [providers] of each service
 * @property {number} [ttlMs]
 * @property {number} [oddClocks] the chance that a clock runs at a wrong speed
 * @property {boolean} [crowd] whether it is one of the worlds with many providers
 */

/** One seed's world: a registry, providers, consumers, a network, and a story of faults and calm. */
export class World {
  scheduler = new Scheduler();
  /** When each id was last removed by a registry that said why. */
  removals = new Map();
  /** The same, of those whose removal somebody decided. */
  decisions = new Map();
  /** When each life of an instance was first listed, by its key. */
  births = new Map();
  /** Lives that came back from a disk: whoever had left after the last writing is back for a ttl. */
  restored = new Set();
  #hash = 0x811c9dc5;
  #notes = [];
  #halt = new AbortController();
  #odd;
  #revival;
  /** When many providers were last told the same at one instant: to start, or what the time is. */
  commandedAt = 0;

  /** @param {Profile} profile */
  constructor(library, seed, profile = {}) {
    this.library = library;
    setMaxListeners(0, this.over);
    this.seed = seed;
    this.profile = { hours: 1, ...profile };
    const dice = this.dice("world");
    this.#revival = this.dice("revival");
    const isCrowd = this.profile.crowd ?? dice.chance(CROWDS);
    this.network = new Network(this, this.dice("network"));
    this.checks = new Checks(this);
    this.hours = isCrowd ? CROWD.hours : this.profile.hours;
    this.ttlMs = this.profile.ttlMs ?? (isCrowd ? CROWD.ttlMs : dice.oneOf(TTLS_MS));
    this.#odd = isCrowd ? undefined : this.#oddClock(dice);
    /** By how much what is promised takes longer: somebody's clock may run slow. */
    this.slowness = this.#odd ? 2 : 1;
    this.beatMs = (this.slowness * this.ttlMs) / 3;
    this.refreshMs = (this.ttlMs / 3) * dice.oneOf([0.5, 1, 3]);
    this.hasDisk = !isCrowd && dice.chance(DISKS);
    this.hasShelves = !isCrowd && this.dice("shelves").chance(SHELVES);
    this.serviceNames = dice.chance(0.3) ? ["orders", "stock"] : ["orders"];
    this.registry = new RegistryNode(this);
    this.providers = [];
    const count = this.profile.providers ?? (isCrowd ? CROWD.providers : dice.whole(1, 6));
    for (const service of this.serviceNames) {
      for (let each = 0; each < count; each++) {
        this.providers.push(new ProviderNode(this, this.providers.length + 1, service, this.ttlMs));
      }
    }
    const consumers = dice.whole(1, 3);
    this.consumers = Array.from({ length: consumers }, (_, index) => new ConsumerNode(this, index + 1));
    this.scheduler.settled = () => this.checks.settled();
  }

  get now() {
    return this.scheduler.now;
  }

  get over() {
    return this.#halt.signal;
  }

  /** A number that differs if anything happened otherwise. */
  get trace() {
    return (this.#hash >>> 0).toString(16).padStart(8, "0");
  }

  get notes() {
    return this.#notes.slice(-QUOTED);
  }

  /** How fast the clock of a host runs; at most one of a world is wrong. */
  rateOf(host) {
    return this.#odd?.host === host ? this.#odd.rate : 1;
  }

  #oddClock(dice) {
    if (!dice.chance(this.profile.oddClocks ?? ODD_CLOCKS)) return undefined;
    return { host: dice.oneOf([REGISTRY, "p1", "c1"]), rate: dice.oneOf([0.5, 2]) };
  }

  dice(name) {
    return new Dice(this.seed, name);
  }

  note(text) {
    const line = `${stamp(this.now)} ${text}`;
    let hash = this.#hash;
    for (let index = 0; index < line.length; index++) hash = Math.imul(hash ^ line.charCodeAt(index), 0x01000193);
    this.#hash = hash;
    this.#notes.push(line);
    if (this.#notes.length > 4 * QUOTED) this.#notes.splice(0, 3 * QUOTED);
  }

  sleep(ms) {
    return this.scheduler.sleep(ms);
  }

  /** An agent's start ended with an error: only the end of the world may do that. */
  refused(host, error) {
    if (!this.over.aborted) this.checks.fail("P-3", `${host} could not start: ${error?.message}`);
  }

  /** Lives through the whole story. @throws {Violation} */
  async live() {
    try {
      await this.scheduler.drive(this.#story());
    } finally {
      this.#halt.abort(new Error("the world ended"));
    }
  }

  async #story() {
    const dice = this.dice("story");
    this.registry.boot();
    for (const consumer of this.consumers) consumer.start();
    for (const provider of this.providers) provider.start();
    await this.#converge("start");
    const weights = this.profile.weights ?? Object.fromEntries(ACTS.map(({ name, weight }) => [name, weight]));
    while (this.now < this.hours * 3_600_000) {
      const name = dice.weighted(weights);
      this.note(`== ${name}`);
      await ACTS.find((act) => act.name === name).play(this, dice);
      await this.#converge(name);
      await this.sleep(dice.between(0, 2 * this.ttlMs));
    }
  }

  /** Whoever is dead begins a new life: else a world would die out. */
  #reviveAll() {
    this.commandedAt = this.now;
    for (const provider of this.providers) if (!provider.life) provider.start();
  }

  /** Faults stop: everybody must see the truth again in time. */
  async #converge(act) {
    this.note(`-- calm after ${act}`);
    this.checks.disturbed();
    this.network.mendAll();
    if (this.network.at(REGISTRY) === "swallows") throw new Error(`${act} left the registry away`);
    if (this.registry.lie) this.registry.lies(undefined);
    for (const { life } of this.providers) life?.process.resume();
    if (this.#revival.chance(0.5)) this.#reviveAll();
    for (const { process } of this.consumers) process.resume();
    await this.checks.converges(act);
  }
}

function stamp(ms) {
  const at = (unit, base) => String(Math.floor(ms / unit) % base).padStart(2, "0");
  return `${at(3_600_000, 1_000)}:${at(60_000, 60)}:${at(1_000, 60)}.${String(Math.floor(ms % 1_000)).padStart(3, "0")}`;
}
