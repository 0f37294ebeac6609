import type { ServiceInstance } from "../model/instance.js";
import type { RegistryUpdate } from "../model/update.js";
import { polling } from "../registry/polling.js";
import type { Discovery, Registry } from "../registry/registry.js";
import type { Clock } from "../runtime/clock.js";
import { Departures, type Witness } from "./departures.js";
import { Line } from "./line.js";

/** So many readers have a change before whoever made it has its answer; with more it would wait for them, 20 µs each. */
const AT_ONCE = 16;

/** Whoever wants to hear of a service. */
export interface Listener {
  /** Whether its reader says what it has applied. */
  readonly acknowledges: boolean;
  /** @param atOnce whether it goes out now, not at the end of the turn */
  line(service: string, line: Line, atOnce: boolean): void;
  /** The registry no longer tells: the reader must come back. */
  cut(): void;
}

interface Topic {
  readonly listeners: Set<Listener>;
  readonly halt: AbortController;
  /** The whole list as it was last told, so that a crowd that joins at once does not have it made for each. */
  list?: { readonly instances: readonly ServiceInstance[]; readonly line: Line };
}

/** One watch of the registry per service, from its first listener to its last. */
export class Hub {
  /** Who is leaving while somebody waits for the listeners to take note. */
  readonly departures = new Departures();
  readonly #source: Discovery;
  readonly #topics = new Map<string, Topic>();

  constructor(registry: Registry, clock: Clock) {
    this.#source = registry.watch ? registry : polling(registry, { clock });
  }

  /** Hears every update of a service from now on, until the returned function is called. */
  join(service: string, listener: Listener): () => void {
    let topic = this.#topics.get(service);
    if (!topic) {
      topic = { listeners: new Set(), halt: new AbortController() };
      this.#topics.set(service, topic);
      void this.#run(service, topic);
    }
    topic.listeners.add(listener);
    return () => this.#leave(service, topic, listener);
  }

  /** An update of a service that has listeners, in bytes. */
  lineOf(service: string, update: RegistryUpdate): Line {
    if (update.type !== "reset") return new Line(service, update, this.departures.toldBy(service, update));
    const { instances, position, warming = false } = update;
    const topic = this.#topics.get(service);
    const made = topic?.list;
    if (made?.instances === instances && made.line.position === position && made.line.warming === warming) {
      return made.line;
    }
    const line = new Line(service, update, this.departures.toldBy(service, update));
    if (topic) topic.list = { instances, line };
    return line;
  }

  /** The listeners of a service whose readers acknowledge. */
  witnessesOf(service: string): readonly Witness[] {
    return [...(this.#topics.get(service)?.listeners ?? [])].filter(({ acknowledges }) => acknowledges);
  }

  /** Asks the registry and tells all listeners: for one that has no watch, and would be asked much later. */
  async lookAgain(service: string): Promise<void> {
    const topic = this.#topics.get(service);
    if (!topic) return;
    const update = await this.#source.list(service, { signal: topic.halt.signal });
    this.#tell(service, topic, update);
  }

  close(): void {
    this.departures.close();
    for (const { halt } of this.#topics.values()) halt.abort();
    this.#topics.clear();
  }

  #leave(service: string, topic: Topic, listener: Listener): void {
    topic.listeners.delete(listener);
    if (topic.listeners.size > 0) return;
    topic.halt.abort();
    if (this.#topics.get(service) === topic) this.#topics.delete(service);
  }

  #tell(service: string, topic: Topic, update: RegistryUpdate): void {
    const line = this.lineOf(service, update);
    let told = 0;
    for (const listener of topic.listeners) {
      try {
        listener.line(service, line, told++ < AT_ONCE);
      } catch {
        listener.cut(); // what stands between it and its reader failed: the others have theirs
      }
    }
  }

  async #run(service: string, topic: Topic): Promise<void> {
    const { signal } = topic.halt;
    try {
      for await (const update of this.#source.watch?.(service, { signal }) ?? []) {
        this.#tell(service, topic, update);
      }
    } catch {
      // the registry's watch broke: whoever listens comes back and asks for the list
    }
    if (this.#topics.get(service) === topic) this.#topics.delete(service);
    for (const listener of topic.listeners) listener.cut();
  }
}
