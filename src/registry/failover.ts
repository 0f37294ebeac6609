import { DiscoveryError } from "../model/errors.js";
import type { Position, RegistryUpdate } from "../model/update.js";
import { type Clock, systemClock } from "../runtime/clock.js";
import { haltSignal, linked, within } from "../runtime/deadline.js";
import { channels } from "../runtime/diagnostics.js";
import { JointRegistrar } from "./joint-registrar.js";
import { polling } from "./polling.js";
import { Preference } from "./preference.js";
import { type Discovery, isRegistrar, type Registrar, type Registry } from "./registry.js";
import { listable, servicesOfAny, watchOf, weakest } from "./several.js";

/** All registries of one question have answered within this, in milliseconds, or count as away: a resolver waits for 3 s. */
const LIST_WITHIN_MS = 2_500;
/** While another one is asked, those that are preferred to it are asked this often, in milliseconds, whether they are back. */
const LOOK_BACK_MS = 5_000;

/**
 * Several registries in the order of preference, as one: it stays with the first while that works, goes on with the next
 * when it does not, and returns once the first has answered for ten seconds on end.
 *
 * Readers never drop anybody because of a move: while a registry other than the first is read, its lists only add and
 * update, and only removals with a reason are believed. Agents register with the first that takes them, with the next as
 * soon as one beat fails, and with the first again when it is back; they stay in both until readers have followed.
 *
 * To close it closes all of them.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function failover(...registries: readonly [Registry, ...Registry[]]): Registry;
export function failover(...registries: readonly [Discovery, ...Discovery[]]): Discovery;
export function failover(...registries: readonly Discovery[]): Discovery {
  return failoverOn(systemClock, listable("failover", registries));
}

/** {@link failover} with the time of a test. */
export function failoverOn(clock: Clock, registries: readonly Discovery[]): Discovery {
  const sources = registries.map((each) => (each.watch ? each : polling(each, { clock })));
  const reader = new FailoverReader(sources, clock);
  const listing: Discovery = {
    name: sources.map(({ name }) => name).join(", else "),
    get capabilities() {
      return weakest(sources);
    },
    get fallback() {
      return reader.fallback;
    },
    list: (service, { since, signal }) => reader.list(service, since, signal),
    watch: (service, { since, signal }) => reader.watch(service, since, signal),
    services: ({ signal }) => servicesOfAny(sources, signal),
    close: () => reader.close(),
  };
  if (!registries.every((each) => isRegistrar(each))) return listing;
  const registrar = new JointRegistrar(registries, "first", clock);
  const registering: Omit<Registrar, keyof Discovery> = {
    register: (instance, options) => registrar.register(instance, options),
    renew: (beats, options) => registrar.renew(beats, options),
    update: (lease, instance, options) => registrar.update(lease, instance, options),
    deregister: (lease, options) => registrar.deregister(lease, options),
  };
  return Object.assign(listing, registering); // a copy would remember what holds at this moment
}

class FailoverReader {
  readonly #sources: readonly Discovery[];
  readonly #clock: Clock;
  readonly #preference: Preference;
  readonly #halt = haltSignal();
  #lookingBack = false;

  constructor(sources: readonly Discovery[], clock: Clock) {
    this.#sources = sources;
    this.#clock = clock;
    this.#preference = new Preference(sources.length);
  }

  /** The name of the one that is read, unless it is the first. */
  get fallback(): string | undefined {
    const { current } = this.#preference;
    return current === 0 ? undefined : this.#sources[current]?.name;
  }

  async list(service: string, since: Position | undefined, signal: AbortSignal): Promise<RegistryUpdate> {
    let failure: unknown;
    for (let asked = 0; asked < this.#sources.length; asked++) {
      const index = this.#preference.current;
      try {
        return told(index, await this.#ask(index, service, positionAt(index, since), signal));
      } catch (error) {
        signal.throwIfAborted();
        failure ??= error;
        this.#failed(index, service, error);
      }
    }
    throw failure;
  }

  async *watch(service: string, since: Position | undefined, signal: AbortSignal): AsyncGenerator<RegistryUpdate> {
    let position = since;
    let failures = 0;
    while (true) {
      const { current: index, moved } = this.#preference;
      const source = this.#sources[index] as Discovery;
      const cut = linked(signal, moved, this.#halt.signal);
      try {
        const ground = { clock: this.#clock, signal: cut.signal };
        for await (const update of watchOf(source, service, positionAt(index, position), ground)) {
          failures = 0;
          const next = told(index, update);
          if (next.type !== "current") position = next.type === "absent" ? undefined : next.position;
          yield next;
        }
      } catch (error) {
        signal.throwIfAborted();
        this.#halt.signal.throwIfAborted();
        if (moved.aborted) continue;
        if (await this.#answers(index, service, signal)) throw error; // the watch broke, not the registry
        this.#failed(index, service, error);
        if (++failures >= this.#sources.length) throw error;
      } finally {
        cut.release();
      }
    }
  }

  async close(): Promise<void> {
    this.#halt.abort(new DiscoveryError("CLOSED", "The registries are closed"));
    await Promise.all(this.#sources.map((source) => source.close()));
  }

  #ask(index: number, service: string, since: Position | undefined, signal: AbortSignal): Promise<RegistryUpdate> {
    const source = this.#sources[index] as Discovery;
    const limitMs = LIST_WITHIN_MS / this.#sources.length;
    const ground = { clock: this.#clock, signal };
    return within(`list of ${service} at ${source.name}`, limitMs, ground, (signal) =>
      source.list(service, { since, signal }),
    );
  }

  #answers(index: number, service: string, signal: AbortSignal): Promise<boolean> {
    return this.#ask(index, service, undefined, signal).then(
      () => true,
      () => false,
    );
  }

  #failed(index: number, service: string, error: unknown): void {
    if (DiscoveryError.is(error, "INVALID_OPTION") || this.#halt.signal.aborted) throw error; // no other would do better
    this.#move(error, () => this.#preference.failed(index));
    if (!this.#lookingBack && this.#preference.current !== 0) void this.#lookBack(service);
  }

  /** Takes note of how a registry did, and tells if another one is read from now on. */
  #move(error: unknown, note: () => void): void {
    const from = this.#preference.current;
    note();
    const to = this.#preference.current;
    if (from === to || !channels.failover.hasSubscribers) return;
    channels.failover.publish({ from: this.#sources[from]?.name, to: this.#sources[to]?.name, error });
  }

  /** Asks the preferred ones until the first is current again; never rejects. */
  async #lookBack(service: string): Promise<void> {
    this.#lookingBack = true;
    const { signal } = this.#halt;
    while (this.#preference.current !== 0 && !signal.aborted) {
      await this.#clock.sleep(LOOK_BACK_MS, signal).catch(() => {});
      for (let index = 0; index < this.#preference.current && !signal.aborted; index++) {
        const isBack = await this.#answers(index, service, signal);
        if (isBack) this.#move(undefined, () => this.#preference.answered(index, this.#clock.now()));
        else this.#preference.failed(index);
      }
    }
    this.#lookingBack = false;
  }
}

/** An update as it is told on: positions and epochs say whose they are, and only the first registry proves absence. */
function told(index: number, update: RegistryUpdate): RegistryUpdate {
  const epoch = `${index}:${update.epoch ?? ""}`;
  const warming = index > 0 || undefined;
  const at = (position: Position | undefined): Position | undefined => position && `${index}:${position}`;
  switch (update.type) {
    case "reset":
      return { ...update, epoch, position: at(update.position), warming: warming ?? update.warming };
    case "absent":
      return { ...update, epoch, warming: warming ?? update.warming };
    case "change":
      return {
        ...update,
        ...(update.epoch === undefined ? {} : { epoch }),
        since: at(update.since),
        position: `${index}:${update.position}`,
      };
    case "current":
      return { ...update, ...(update.epoch === undefined ? {} : { epoch }), position: at(update.position) };
  }
}

/** A position as the registry itself told it. Where absence proves nothing, no list may be answered with `current`. */
function positionAt(index: number, position: Position | undefined): Position | undefined {
  return index === 0 && position?.startsWith("0:") ? position.slice(2) : undefined;
}
