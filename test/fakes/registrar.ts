import { DiscoveryError } from "../../src/index.js";
import { memoryRegistry } from "../../src/registry/memory.js";
import type { MemoryRegistry } from "../../src/registry/memory-options.js";
import type { Registry } from "../../src/registry/registry.js";
import type { ManualClock } from "../../src/testing/index.js";

/** A memory registry behind a network that can fail: down, deaf, or restarted with an empty memory. */
export interface FaultyRegistry {
  readonly registry: Registry;
  /** What is behind the network now. */
  memory: MemoryRegistry;
  /** Calls that reached the network, by name. */
  readonly calls: string[];
  /** `mute`: what is asked is done, and its answer lost. */
  mode: "up" | "down" | "deaf" | "mute";
  restart(warmingMs?: number): void;
}

export function faultyRegistry(clock: ManualClock): FaultyRegistry {
  const faulty: FaultyRegistry = {
    memory: memoryRegistry({ clock, warmingMs: 0 }),
    calls: [],
    mode: "up",
    restart(warmingMs = 30_000) {
      void faulty.memory.close();
      faulty.memory = memoryRegistry({ clock, warmingMs });
    },
    registry: {} as Registry,
  };
  const through = async <T>(name: string, signal: AbortSignal, task: () => Promise<T>): Promise<T> => {
    faulty.calls.push(name);
    if (faulty.mode === "down") throw new DiscoveryError("UNAVAILABLE", "connect ECONNREFUSED");
    if (faulty.mode === "mute") await task();
    if (faulty.mode === "deaf" || faulty.mode === "mute")
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    return task();
  };
  const registry: Registry = {
    name: "faulty",
    capabilities: { ...faulty.memory.capabilities, quietMs: 35_000 },
    list: (service, o) => through("list", o.signal, () => faulty.memory.list(service, o)),
    register: (instance, o) => through("register", o.signal, () => faulty.memory.register(instance, o)),
    renew: (beats, o) => through("renew", o.signal, () => faulty.memory.renew(beats)),
    update: (lease, instance, o) => through("update", o.signal, () => faulty.memory.update(lease, instance, o)),
    deregister: (lease, o) => through("deregister", o.signal, () => faulty.memory.deregister(lease)),
    async *watch(service, o) {
      const { memory } = faulty;
      await through("watch", o.signal, async () => {});
      for await (const update of memory.watch(service, o)) {
        if (faulty.mode !== "up" || memory !== faulty.memory)
          throw new DiscoveryError("UNAVAILABLE", "the stream was cut");
        yield update;
      }
    },
    close: async () => {},
  };
  return Object.assign(faulty, { registry });
}
