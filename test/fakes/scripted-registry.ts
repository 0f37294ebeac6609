import { defineInstance, type ServiceInstance } from "../../src/model/instance.js";
import type { RegistryUpdate } from "../../src/model/update.js";
import type { Registry } from "../../src/registry/registry.js";

/** A registry whose list and whose watch say what a test tells them to, each at its own time. */
export interface ScriptedRegistry {
  readonly registry: Registry;
  /** What `list()` answers, whatever is asked; it may take its time. */
  list: (since: string | undefined) => Promise<RegistryUpdate>;
  /** From where the list was asked for, in order. */
  readonly asked: (string | undefined)[];
  /** Says something to whoever watches. */
  push(update: RegistryUpdate): void;
  /** Ends every watch with an error. */
  breakWatch(): void;
}

export function scriptedRegistry(): ScriptedRegistry {
  const queue: RegistryUpdate[] = [];
  let wake = (): void => {};
  let broken = false;
  const scripted: ScriptedRegistry = {
    registry: {
      name: "scripted",
      capabilities: { watch: "stream", lease: "heartbeat", reasons: true, epoch: true, absence: true, quietMs: 35_000 },
      list: (_service, { since }) => {
        scripted.asked.push(since);
        return scripted.list(since);
      },
      async *watch(_service, { signal }) {
        signal.addEventListener("abort", () => wake());
        while (!signal.aborted && !broken) {
          const update = queue.shift();
          if (update) yield update;
          else {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        }
        if (broken) throw new Error("the watch broke");
      },
      register: refuse,
      renew: refuse,
      update: refuse,
      deregister: refuse,
      close: async () => {},
    },
    list: async () => ({ type: "absent" }),
    asked: [],
    push(update) {
      queue.push(update);
      wake();
    },
    breakWatch() {
      broken = true;
      wake();
    },
  };
  return scripted;
}

async function refuse(): Promise<never> {
  throw new Error("this registry only lists");
}

/** Instances of `orders`, one per port. */
export function orders(...ports: readonly number[]): ServiceInstance[] {
  return ports.map((port) => defineInstance({ service: "orders", host: "10.0.0.1", port }));
}

/** The whole list at a revision. */
export function snapshot(revision: number, ports: readonly number[], warming = false): RegistryUpdate {
  return { type: "reset", instances: orders(...ports), position: `e:${revision}`, epoch: "e", warming };
}

/** An instance that came between two revisions. */
export function added(since: number, revision: number, port: number): RegistryUpdate {
  return {
    type: "change",
    upserted: orders(port),
    removed: [],
    since: `e:${since}`,
    position: `e:${revision}`,
    epoch: "e",
  };
}
