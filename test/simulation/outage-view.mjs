/** A pull that is not answered counts as failed after this, in milliseconds: the library's. */
const PULL_MS = 3_000;
/** From this share of a ttl on an outage may have ended leases: the library's. */
const LAPSE_SHARE = 0.5;
const USABLE = new Set(["healthy", "unstable"]);

/** What one consumer saw of outages of its registry, and what it owes for one ttl after each to those it knew before. */
export class OutageView {
  #world;
  #process;
  #heard = 0;
  #heardAt;
  #pauses = 0;
  #backAt = Number.NEGATIVE_INFINITY;
  #before = 0;

  constructor(world, process) {
    this.#world = world;
    this.#process = process;
    this.#heardAt = process.clock.now();
  }

  /** @param seen what the consumer has shown until now, those `doubted` included: they may have ranked below the others */
  settled(seen, doubted) {
    const { heard, pauses, clock } = this.#process;
    if (heard === this.#heard) return;
    const awayMs = clock.now() - this.#heardAt;
    const stoodStill = pauses !== this.#pauses;
    this.#heard = heard;
    this.#heardAt = clock.now();
    this.#pauses = pauses;
    if (stoodStill || awayMs < this.#outageMs) return;
    this.#world.network.count("outage seen");
    this.#before = [...seen].filter(([id, { status }]) => USABLE.has(status) && !doubted.has(id)).length;
    this.#backAt = clock.now();
  }

  /** So long without a word, and a pull has surely failed: no silence of a registry that is there. */
  get #outageMs() {
    const { ttlMs, refreshMs } = this.#world;
    return Math.max(ttlMs * LAPSE_SHARE, 1.1 * refreshMs + PULL_MS);
  }

  /** Whether the registry was out of reach until less than a ttl ago. */
  get isRecent() {
    return this.#process.clock.now() - this.#backAt < this.#world.ttlMs - 1;
  }

  /** Whether who is in that state may not be given up now, unless somebody decided it since it was born. */
  owes(id, { bornAt, status }) {
    return this.isRecent && USABLE.has(status) && !((this.#world.decisions.get(id) ?? -1) >= bornAt);
  }

  /** Who of those in doubt ranks below the listed, though no knock speaks against it and fewer are listed than before. */
  demoted({ snapshot, endpoints }, doubtedAt, host) {
    if (!this.isRecent || snapshot.suspects.length === 0) return undefined;
    const suspects = new Set(snapshot.suspects);
    const listed = snapshot.instances.filter(({ id, status }) => USABLE.has(status) && !suspects.has(id)).length;
    if (listed === 0 || listed >= this.#before) return undefined;
    return endpoints.find(({ instance: { id }, suspect }) => {
      const { refused, unknown = -1 } = this.#world.network.knocksAt(host, id);
      return suspect && doubtedAt.get(id) >= this.#backAtOfWorld && Math.max(refused, unknown) < doubtedAt.get(id);
    });
  }

  get #backAtOfWorld() {
    return this.#world.now - (this.#process.clock.now() - this.#backAt) / this.#process.rate;
  }
}
