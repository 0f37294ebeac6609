import type { RegistryUpdate } from "../model/update.js";
import type { Registry } from "../registry/registry.js";
import { revisionOf, toEvent } from "../wire/json.js";

/** A line for all readers: made once, however many there are. */
export interface Line {
  readonly text: Buffer;
  readonly type: RegistryUpdate["type"];
  /** The revision it leads to; 0 where it has none. */
  readonly revision: number;
  /** The revision it follows on, for a change. */
  readonly since: number;
}

/** Whoever wants to hear of a service. */
export interface Listener {
  line(service: string, line: Line): void;
  /** The registry no longer tells: the reader must come back. */
  cut(): void;
}

interface Topic {
  readonly listeners: Set<Listener>;
  readonly halt: AbortController;
}

/** One watch of the registry per service, from its first listener to its last. */
export class Hub {
  readonly #registry: Registry;
  readonly #topics = new Map<string, Topic>();

  constructor(registry: Registry) {
    this.#registry = registry;
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

  close(): void {
    for (const { halt } of this.#topics.values()) halt.abort();
    this.#topics.clear();
  }

  #leave(service: string, topic: Topic, listener: Listener): void {
    topic.listeners.delete(listener);
    if (topic.listeners.size > 0) return;
    topic.halt.abort();
    if (this.#topics.get(service) === topic) this.#topics.delete(service);
  }

  async #run(service: string, topic: Topic): Promise<void> {
    const { signal } = topic.halt;
    try {
      const updates = this.#registry.watch?.(service, { signal });
      if (updates) for await (const update of updates) this.#tell(service, topic, update);
    } catch {
      // the registry's watch broke: whoever listens comes back and asks for the list
    }
    if (this.#topics.get(service) === topic) this.#topics.delete(service);
    for (const listener of topic.listeners) listener.cut();
  }

  #tell(service: string, { listeners }: Topic, update: RegistryUpdate): void {
    const line = lineOf(service, update);
    for (const listener of listeners) listener.line(service, line);
  }
}

/** Serialises an update once. */
export function lineOf(service: string, update: RegistryUpdate): Line {
  const text = Buffer.from(`${JSON.stringify(toEvent(service, update))}\n`);
  const revision = update.type === "absent" ? 0 : revisionOf(update.position);
  return {
    text,
    type: update.type,
    revision,
    since: update.type === "change" ? revisionOf(update.since) : 0,
  };
}
