import { DiscoveryError } from "../model/errors.js";
import type { Position, RegistryUpdate } from "../model/update.js";
import { type Clock, type Random, type Scope, systemClock, systemRandom } from "../runtime/clock.js";
import { haltSignal, linked, untilAborted, within } from "../runtime/deadline.js";
import { backoff, RECONNECT } from "../runtime/retry.js";
import { JointRegistrar } from "./joint-registrar.js";
import { isPartial, type MergeParts, mergedList, partAfter } from "./merged-list.js";
import { Told } from "./merged-watch.js";
import { polling } from "./polling.js";
import { Recent } from "./recent.js";
import { type Discovery, isRegistrar, type Registrar, type Registry } from "./registry.js";
import { listable, servicesOfAny, watchOf, weakest } from "./several.js";

/** A registry that does not answer within this, in milliseconds, counts as away: a resolver waits for 3 s. */
const LIST_WITHIN_MS = 2_000;
/** A watch of one registry begins again after this at the earliest, in milliseconds. */
const LOOP_FLOOR_MS = 100;
/** Services whose last known parts are kept for when a registry is away: as many as a resolver keeps up to date. */
const SERVICES = 1_000;

/**
 * Several registries as one that knows what any of them knows. Where two know the same id, the first counts, unless it
 * has given the instance up; whoever is draining in one is draining. A registry that is away keeps its last known part.
 *
 * Agents register with all of them. One that is away stops nobody, and is caught up with by a later beat.
 *
 * To close it closes all of them.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function merge(...registries: readonly [Registry, ...Registry[]]): Registry;
export function merge(...registries: readonly [Discovery, ...Discovery[]]): Discovery;
export function merge(...registries: readonly Discovery[]): Discovery {
  return mergeOn({ clock: systemClock, random: systemRandom }, listable("merge", registries));
}

/** {@link merge} with the time and chance of a test. */
export function mergeOn(
  ground: { readonly clock: Clock; readonly random: Random },
  registries: readonly Discovery[],
): Discovery {
  const sources = registries.map((each) => (each.watch ? each : polling(each, ground)));
  const reader = new MergeReader(sources, ground);
  const listing: Discovery = {
    name: sources.map(({ name }) => name).join(" and "),
    get capabilities() {
      return weakest(sources);
    },
    list: (service, { since, signal }) => reader.list(service, since, signal),
    watch: (service, { signal }) => reader.watch(service, signal),
    services: ({ signal }) => servicesOfAny(sources, signal),
    close: () => reader.close(),
  };
  if (!registries.every((each) => isRegistrar(each))) return listing;
  const registrar = new JointRegistrar(registries, "all", ground.clock);
  const registering: Omit<Registrar, keyof Discovery> = {
    register: (instance, options) => registrar.register(instance, options),
    renew: (beats, options) => registrar.renew(beats, options),
    update: (lease, instance, options) => registrar.update(lease, instance, options),
    deregister: (lease, options) => registrar.deregister(lease, options),
  };
  return Object.assign(listing, registering); // a copy would remember what they can do at this moment
}

class MergeReader {
  readonly #sources: readonly Discovery[];
  readonly #ground: { readonly clock: Clock; readonly random: Random };
  readonly #lastKnown = new Recent<MergeParts>(SERVICES);
  readonly #watching = new Set<{ readonly service: string; readonly told: Told }>();
  readonly #halt = haltSignal();

  constructor(sources: readonly Discovery[], ground: { readonly clock: Clock; readonly random: Random }) {
    this.#sources = sources;
    this.#ground = ground;
  }

  async list(service: string, since: Position | undefined, signal: AbortSignal): Promise<RegistryUpdate> {
    const before = this.#partsOf(service);
    const watching = [...this.#watching].filter((each) => each.service === service);
    const then = watching.map(({ told }) => told.parts);
    const answers = await Promise.allSettled(
      this.#sources.map((source, index) => this.#ask(source, service, before[index]?.position, signal)),
    );
    signal.throwIfAborted();
    const parts = answers.map((answer, index) =>
      answer.status === "fulfilled" ? partAfter(before[index], answer.value) : before[index],
    );
    const [first] = answers;
    if (first?.status === "rejected" && answers.every(({ status }) => status === "rejected")) throw first.reason;
    this.#lastKnown.set(service, parts);
    const listed = parts.map((part, index) => (answers[index]?.status === "fulfilled" ? part : undefined));
    for (const [index, { told }] of watching.entries()) told.listed(then[index] as MergeParts, listed);
    const list = mergedList(parts);
    const isCurrent = list.type === "reset" && !list.warming && list.position === since;
    const update: RegistryUpdate = isCurrent ? { type: "current", position: since } : list;
    const partial = isPartial(parts) || answers.some(({ status }) => status === "rejected");
    return partial ? { ...update, partial } : update;
  }

  async *watch(service: string, outer: AbortSignal): AsyncGenerator<RegistryUpdate> {
    const over = haltSignal();
    const cut = linked(outer, over.signal, this.#halt.signal);
    const scope = { ...this.#ground, signal: cut.signal };
    const told = new Told(this.#partsOf(service));
    const watch = { service, told };
    this.#watching.add(watch);
    for (const index of this.#sources.keys()) {
      const heard = (update: RegistryUpdate): boolean => {
        const isWhole = told.heard(index, update);
        this.#lastKnown.set(service, told.parts);
        return isWhole;
      };
      void this.#follow(index, service, scope, heard, (error) => told.failed(index, error));
    }
    const cancel = scope.clock.schedule(LIST_WITHIN_MS, () => told.begin());
    try {
      while (true) yield await untilAborted(told.next(), cut.signal);
    } finally {
      cancel();
      this.#watching.delete(watch);
      over.abort(new DiscoveryError("CLOSED", `The watch of ${service} is over`));
      cut.release();
    }
  }

  async close(): Promise<void> {
    this.#halt.abort(new DiscoveryError("CLOSED", "The registries are closed"));
    await Promise.all(this.#sources.map((source) => source.close()));
  }

  #partsOf(service: string): MergeParts {
    return this.#lastKnown.get(service) ?? this.#sources.map(() => undefined);
  }

  #ask(source: Discovery, service: string, since: Position | undefined, signal: AbortSignal): Promise<RegistryUpdate> {
    const what = `list of ${service} at ${source.name}`;
    return within(what, LIST_WITHIN_MS, { clock: this.#ground.clock, signal }, (signal) =>
      source.list(service, { since, signal }),
    );
  }

  /** Watches one registry until the signal aborts, whatever becomes of it; never rejects. */
  async #follow(
    index: number,
    service: string,
    scope: Scope,
    heard: (update: RegistryUpdate) => boolean,
    failed: (error: unknown) => void,
  ): Promise<void> {
    const source = this.#sources[index] as Discovery;
    let failures = 0;
    while (!scope.signal.aborted) {
      try {
        for await (const update of watchOf(source, service, undefined, scope)) {
          failures = 0;
          if (!heard(update)) break; // something is missing: the next watch begins with the whole list
        }
      } catch (error) {
        if (scope.signal.aborted) return;
        failures++;
        failed(error);
      }
      const pauseMs = Math.max(LOOP_FLOOR_MS, backoff(RECONNECT, failures, scope.random));
      await scope.clock.sleep(pauseMs, scope.signal).catch(() => {});
    }
  }
}
