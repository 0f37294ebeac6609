import { ConsumerView } from "./consumer-view.mjs";
import { WARMING_MS } from "./nodes.mjs";
import { RegistryView } from "./registry-view.mjs";

/** What a day in a calm network may add, in milliseconds: a few messages one after the other. */
export const SLACK_MS = 100;

/** A promise was broken. */
export class Violation extends Error {
  constructor(id, message, world) {
    const at = (world.now / 1_000).toFixed(3);
    super(`${id} broken at ${at} s by seed ${world.seed}: ${message}\n  ${world.notes.join("\n  ")}`);
    this.id = id;
  }
}

/** The checkers of a world: what each promise asks, held against what happens. */
export class Checks {
  #world;
  #views = [];
  #registries = [];
  #failure;
  #disturbedAt = 0;

  constructor(world) {
    this.#world = world;
  }

  get registry() {
    return this.#registries.at(-1);
  }

  /** Remembers the first broken promise; it ends the run when the event is over. */
  fail(id, message) {
    this.#failure ??= new Violation(id, message, this.#world);
  }

  /** @param fromDisk whether it goes on with the leases of the life before, as far as they were written */
  booted(node, fromDisk) {
    const before = this.registry;
    before?.end();
    this.#registries = [new RegistryView(this.#world, this, node, fromDisk ? before : undefined)];
  }

  asked(exchange) {
    this.registry.asked(exchange);
  }

  answered(exchange, status, text) {
    this.registry.answered(exchange, status, text);
  }

  consumes(node, service) {
    this.#views = this.#views.filter(({ process }) => process.isAlive);
    const view = new ConsumerView(this.#world, this, node, service);
    this.#views.push(view);
    return view;
  }

  picks(view) {
    view.pick();
  }

  /** After every event. */
  settled() {
    this.registry?.settled();
    for (const view of this.#views) view.settled();
    if (this.#failure) throw this.#failure;
  }

  #areDoubting() {
    return this.#views.some((view) => view.isDoubting);
  }

  /** A fault begins or ends: what was expected of calm times is no longer. */
  disturbed() {
    this.#disturbedAt = this.#world.now;
  }

  /** In `ms` from now `holds` must be true, unless another fault came between. */
  expect(ms, id, text, holds) {
    const { scheduler, now } = this.#world;
    scheduler.after(ms, () => {
      if (this.#disturbedAt <= now && !holds()) this.fail(id, `${text} (since ${(now / 1_000).toFixed(3)} s)`);
    });
  }

  /** Liveness: the truth everywhere, first of the living, then of the dead. */
  async converges(act) {
    const world = this.#world;
    const { ttlMs, refreshMs, registry, slowness } = world;
    const beatMs = ttlMs / 3;
    const begunAt = world.now;
    const until = (ms) => world.sleep(begunAt + ms * slowness - world.now);
    await until(2 * beatMs);
    for (const provider of world.providers) {
      if (provider.isUp && !this.registry.lists(provider)) this.fail("L-1", `${act}: ${provider.host} is not listed`);
    }
    await until(Math.max(2 * beatMs, beatMs + 4_500 + 1.1 * refreshMs));
    for (const view of this.#views) view.mustSeeTheLiving(act);
    const warmMs = Math.max(0, registry.bootedAt + WARMING_MS - begunAt);
    const toldMs = 2 * (1.1 * refreshMs + 3_500);
    await until(warmMs + ttlMs + 2_000 + toldMs);
    if (registry.memory.suspects > 0) await until(4 * ttlMs + 2_000 + toldMs); // those go by and by
    if (this.#areDoubting()) await until((world.now - begunAt) / slowness + ttlMs + toldMs);
    this.registry.mustBeExact(act);
    for (const view of this.#views) view.mustAgree(act, this.registry);
  }
}
