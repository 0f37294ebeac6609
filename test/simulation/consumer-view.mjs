import { OutageView } from "./outage-view.mjs";
import { keyOf } from "./registry-view.mjs";

/** A list that nobody has confirmed for this long, in milliseconds, says so: the library's default. */
const STALE_MS = 60_000;
/** A list on a disk that is older than this, in milliseconds, is of no use. */
const DAY_MS = 24 * 3_600_000;
/** What a timer may be late by, in milliseconds, also after a pause. */
const LATE_MS = 1_000;
/** A registry's word against somebody counts as repeated after this, in milliseconds: the library's default. */
const CONFIRM_MS = 5_000;
const PICKABLE = new Set(["healthy", "unstable", "draining", "failed"]);

/** One service as one consumer sees it, held against the truth. */
export class ConsumerView {
  #world;
  #checks;
  #node;
  #service;
  #snapshot;
  /** What it shows: id to `{ key, bornAt, status }`. */
  #seen = new Map();
  #dropped = new Set();
  /** Since when each is kept against the registry's word. */
  #doubtedAt = new Map();
  #heard = 0;
  #heardAt;
  #changedAt = 0;
  #isSpokenTo = false;
  #outage;

  constructor(world, checks, node, service) {
    this.#world = world;
    this.#checks = checks;
    this.#node = node;
    this.#service = service;
    this.process = node.process;
    this.#snapshot = service.snapshot;
    this.#heardAt = this.process.clock.now();
    this.#outage = new OutageView(world, this.process);
  }

  get #name() {
    return `${this.#node.host} (${this.#service.name})`;
  }

  get isDoubting() {
    return this.#service.snapshot.suspects.length > 0;
  }

  get name() {
    return this.#service.name;
  }

  get snapshot() {
    return this.#service.snapshot;
  }

  /** When what it shows last changed. */
  get changedAt() {
    return this.#changedAt;
  }

  /** C-1: whoever knows somebody can always pick somebody. */
  pick() {
    const { instances } = this.#service.snapshot;
    this.#saysIfStale();
    try {
      const selection = this.#service.pickNow();
      const { id } = selection.instance;
      const provider = this.#world.providers.find((each) => each.id === id);
      selection.report(provider?.life?.process.isAlive ? (provider.isUp ? "success" : "failure") : "refused");
      selection.release();
    } catch (error) {
      if (!instances.some(({ status }) => PICKABLE.has(status))) return;
      this.#checks.fail("C-1", `${this.#name} knows ${instances.length} instances and picked none: ${error.message}`);
    }
  }

  settled() {
    const { snapshot } = this.#service;
    this.#outage.settled(this.#seen, this.#doubtedAt);
    this.#isSpokenTo = this.process.heard !== this.#heard;
    this.#heard = this.process.heard;
    if (this.#isSpokenTo) this.#heardAt = this.process.clock.now();
    if (snapshot === this.#snapshot) return;
    this.#snapshot = snapshot;
    this.#changedAt = this.#world.now;
    this.#saysWhence(snapshot);
    this.#doubts(snapshot);
    const shown = new Set();
    const addresses = new Set();
    for (const instance of snapshot.instances) {
      shown.add(instance.id);
      addresses.add(instance.host);
      this.#shows(instance);
    }
    if (addresses.size < snapshot.instances.length) {
      this.#checks.fail("P-8", `${this.#name} sees two records of one address`);
    }
    for (const id of this.#seen.keys()) if (!shown.has(id)) this.#drops(id);
    this.#ranks();
  }

  /** Every living provider is there, as its present life. */
  mustSeeTheLiving(act) {
    for (const provider of this.#mine()) {
      if (!this.#sees(provider)) this.#checks.fail("L-3", `${act}: ${this.#name} does not see ${provider.host}`);
    }
  }

  /** The same as the registry's own list, and nothing in doubt. */
  mustAgree(act, registry) {
    const { instances, suspects, warming, stale, epoch, source, ageMs } = this.#service.snapshot;
    const fail = (text) => this.#checks.fail("L-4", `${act}: ${this.#name} ${text}`);
    const mine = [...registry.listed.values()].filter(({ instance }) => instance.service === this.#service.name);
    if (suspects.length > 0) fail(`still doubts ${suspects}`);
    if (warming || stale) fail(`still thinks the registry ${warming ? "warms up" : "is away"}`);
    if (source !== "registry" || ageMs !== undefined) fail(`still says that its list is from ${source}`);
    if (epoch !== registry.memory.epoch) fail(`still lives in epoch ${epoch}`);
    if (instances.length !== mine.length) fail(`sees ${instances.length} of ${mine.length}`);
    for (const { instance } of mine) {
      const seen = instances.find(({ id }) => id === instance.id);
      if (!seen || seen.incarnation !== instance.incarnation) fail(`sees another life of ${instance.id}`);
      else if (seen.weight !== instance.weight || seen.status !== instance.status)
        fail(`sees ${instance.id} as it was`);
    }
  }

  /** C-12: a list says where it is from; one from a disk is not confirmed, and no older than a day. */
  #saysWhence({ source, stale, ageMs, instances }) {
    const fail = (text) => this.#checks.fail("C-12", `${this.#name} ${text}`);
    if (source === "disk" && !(stale && ageMs >= 0 && ageMs <= DAY_MS))
      fail(`shows a list from disk as ${stale ? "stale" : "confirmed"}, ${ageMs} ms old`);
    if (source !== "disk" && instances.length > 0 && this.process.heard === 0)
      fail("shows as the registry's what that never told");
  }

  /** C-12: a list that nobody has confirmed for a minute says so. */
  #saysIfStale() {
    const { stale, instances } = this.#service.snapshot;
    const { clock, resumedAt } = this.process;
    if (stale || instances.length === 0 || this.#world.now - resumedAt < LATE_MS) return;
    const silentMs = clock.now() - this.#heardAt;
    if (silentMs <= STALE_MS + LATE_MS) return;
    this.#checks.fail("C-12", `${this.#name} calls its list fresh after ${silentMs.toFixed(0)} ms of silence`);
  }

  #mine() {
    return this.#world.providers.filter(({ service, isUp }) => isUp && service === this.#service.name);
  }

  #sees({ id, lives }) {
    const instance = this.#service.snapshot.instances.find((each) => each.id === id);
    return instance?.metadata.life === String(lives);
  }

  #shows(instance) {
    const { id, status } = instance;
    const key = keyOf(instance);
    const bornAt = this.#world.births.get(key) ?? Number.POSITIVE_INFINITY;
    const before = this.#seen.get(id);
    if (before) before.status = status;
    if (!this.#service.snapshot.suspects.includes(id)) this.#doubtedAt.delete(id);
    if (before?.key === key) return;
    const isRestored = this.#world.restored.has(key);
    if (this.#dropped.has(key) && !isRestored)
      this.#checks.fail("R-5", `${this.#name} shows ${key} again after it had gone`);
    if (before && before.bornAt > bornAt && !isRestored) {
      this.#checks.fail("R-5", `${this.#name} went back from ${before.key} to ${key}`);
    }
    if (before) this.#dropped.add(before.key);
    this.#seen.set(id, { key, bornAt, status });
    this.#world.note(`${this.#node.host} sees ${key}`);
  }

  #doubts({ suspects }) {
    for (const id of suspects) if (!this.#doubtedAt.has(id)) this.#doubtedAt.set(id, this.#world.now);
  }

  /** C-3: an outage sends not all calls to whoever got through to the registry first. */
  #ranks() {
    const demoted = this.#outage.demoted(this.#service, this.#doubtedAt, this.#node.host);
    if (demoted) this.#checks.fail("C-3", `${this.#name} ranks ${demoted.instance.id} below others after an outage`);
  }

  get #knowsAnybody() {
    return this.#service.snapshot.instances.some(({ status }) => PICKABLE.has(status) && status !== "failed");
  }

  /** Whether a doubt of `id` may be over: nobody listens there and the registry has repeated itself, or a ttl has passed. */
  #mayGo(id) {
    const doubtedAt = this.#doubtedAt.get(id);
    if (doubtedAt === undefined) return false;
    const doubtedMs = (this.#world.now - doubtedAt) * this.process.rate + 1;
    const { found, alive, refused } = this.#world.network.knocksAt(this.#node.host, id);
    if (found === "alive" && alive >= doubtedAt && !this.#knowsAnybody) {
      this.#checks.fail("C-3", `${this.#name} gave up ${id}, which lives, and there is nobody else`);
    }
    if (found === "alive" && alive >= doubtedAt && !this.#isSpokenTo) {
      this.#checks.fail("C-1", `${this.#name} gave up ${id}, which lives, although nobody said a word`);
    }
    return doubtedMs >= this.#world.ttlMs || (refused >= doubtedAt && doubtedMs >= CONFIRM_MS);
  }

  /**
   * nobody is dropped without the registry's word for it, and never while it is silent (C-1); nor those whose loss is
   * doubted, before there is evidence or a ttl has passed (C-3).
   */
  #drops(id) {
    const { key, bornAt, status } = this.#seen.get(id);
    const mayGo = this.#mayGo(id);
    if (!mayGo && this.#outage.owes(id, { bornAt, status }))
      this.#checks.fail("C-3", `${this.#name} gave up ${key} after an outage, which nobody had decided`);
    this.#doubtedAt.delete(id);
    this.#seen.delete(id);
    this.#world.note(`${this.#node.host} drops ${key}`);
    if (mayGo) return; // which the registry may contradict
    this.#dropped.add(key);
    if (!this.#isSpokenTo) {
      this.#checks.fail("C-1", `${this.#name} dropped ${key} although nobody said a word`);
    }
    const removedAt = this.#world.removals.get(id);
    if (removedAt !== undefined && removedAt >= bornAt) return; // the registry said why
    if (status === "draining") return; // its own goodbye, with any registry
    const missingSince = this.#checks.registry.missingSince(id);
    if (missingSince !== undefined && (this.#world.now - missingSince) * this.process.rate >= this.#world.ttlMs - 1)
      return;
    this.#checks.fail("R-3", `${this.#name} dropped ${key}, which nobody had removed`);
  }
}
