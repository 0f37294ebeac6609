import { createHash } from "node:crypto";
import { join } from "node:path";
import { defineInstance, type InstanceInput, type ServiceInstance } from "../model/instance.js";
import type { Cancel, Clock } from "../runtime/clock.js";
import { readDurably, writeDurably } from "../runtime/durable-file.js";

/** Lists older than this, in milliseconds, are not used (Polaris: a day). */
const MAX_AGE_MS = 24 * 3_600_000;
/** After a change a list is written this much later, in milliseconds, so that a storm of changes is one write. */
const DELAY_MS = 1_000;
const HASH_LENGTH = 8;

/** A list as it was when it was last confirmed. */
export interface LastKnown {
  readonly instances: readonly ServiceInstance[];
  readonly epoch: string | undefined;
  /** How old it is, in milliseconds of the wall clock. */
  readonly ageMs: number;
}

/** Where the lists of a resolver outlive it. */
export interface Shelf {
  /** The list of a service; undefined if there is none that can be used. Never rejects. */
  find(service: string): Promise<LastKnown | undefined>;
  /** Keeps the newest list of a service, soon. */
  keep(service: string, instances: readonly ServiceInstance[], epoch: string | undefined): void;
  /** Writes what is still to be written. */
  close(): Promise<void>;
}

/** What a shelf needs. */
export interface ShelfOptions {
  readonly folder: string;
  /** Names the registry: lists of another one are of no use. */
  readonly registry: string;
  readonly clock: Clock;
  /** Told of files that could not be read or written; nothing else comes of it. */
  readonly failed: (error: unknown) => void;
}

/** A folder with one file per service. A list with nobody in it is not kept: it helps nobody after a restart. */
export function shelf({ folder, registry, clock, failed }: ShelfOptions): Shelf {
  const waiting = new Map<string, Cancel>();
  const newest = new Map<string, () => string>();
  let queue = Promise.resolve(); // one write after the other: an older list never lands on a newer one
  const pathOf = (service: string): string => join(folder, `${service}.${digest(registry)}.list`);

  const write = (service: string): void => {
    waiting.get(service)?.();
    waiting.delete(service);
    const text = newest.get(service);
    newest.delete(service);
    if (text) queue = queue.then(() => writeDurably(pathOf(service), text()).catch(failed));
  };

  return {
    async find(service) {
      try {
        const kept = await readDurably(pathOf(service));
        if ("text" in kept) return usable(service, kept.text, clock.wall());
        if (kept.ignored !== "missing") failed(new Error(`The list of ${service} is not used: it is ${kept.ignored}`));
      } catch (error) {
        failed(error);
      }
      return undefined;
    },

    keep(service, instances, epoch) {
      if (instances.length === 0) return;
      const at = clock.wall();
      newest.set(service, () => JSON.stringify({ service, epoch, at, instances }));
      if (!waiting.has(service))
        waiting.set(
          service,
          clock.schedule(DELAY_MS, () => write(service)),
        );
    },

    async close() {
      for (const service of [...waiting.keys()]) write(service);
      await queue;
    },
  };
}

function usable(service: string, text: string, now: number): LastKnown | undefined {
  const { service: of, epoch, at, instances } = JSON.parse(text) as Record<string, unknown>;
  if (of !== service || typeof at !== "number" || !Array.isArray(instances)) return undefined;
  const ageMs = Math.max(0, now - at); // a wall clock that was set back makes nothing older
  if (ageMs > MAX_AGE_MS) return undefined;
  const checked = instances.map((each: unknown) => defineInstance(each as InstanceInput));
  return { instances: checked, epoch: typeof epoch === "string" ? epoch : undefined, ageMs };
}

function digest(registry: string): string {
  return createHash("sha256").update(registry).digest("hex").slice(0, HASH_LENGTH);
}
