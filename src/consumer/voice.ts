import type { EjectionCause } from "../endpoint/ejection.js";
import type { ServiceInstance } from "../model/instance.js";
import { difference, type RegistryUpdate, type Snapshot } from "../model/update.js";
import { channels } from "../runtime/diagnostics.js";
import type { ServiceEvents } from "./service-events.js";

type Emit = <K extends keyof ServiceEvents>(event: K, payload: Parameters<ServiceEvents[K]>[0]) => void;

/** What a service says of itself: to its listeners, and to tools that listen at the diagnostics channels. */
export class Voice {
  readonly #service: string;
  readonly #emit: Emit;

  constructor(service: string, emit: Emit) {
    this.#service = service;
    this.#emit = emit;
  }

  /** There is another snapshot: says what differs, and whose loss is doubted or no longer. */
  published(before: Snapshot, snapshot: Snapshot, update: RegistryUpdate): void {
    const { fresh, back, gone } = doubtsBetween(before, snapshot);
    if (fresh.length > 0) this.#emit("suspected", { instances: fresh });
    if (back.length + gone.length > 0) this.#emit("cleared", { back, gone });
    const differs = difference(before.instances, snapshot.instances);
    if (!differs) return;
    this.#emit("changed", { snapshot, difference: differs });
    if (!channels.update.hasSubscribers) return;
    channels.update.publish({ service: this.#service, snapshot, difference: differs, update });
  }

  ejected(instance: ServiceInstance, cause: EjectionCause, pauseMs: number): void {
    this.#emit("ejected", { instance, cause, pauseMs });
    if (channels.eject.hasSubscribers) channels.eject.publish({ service: this.#service, instance, cause, pauseMs });
  }
}

interface Doubts {
  readonly fresh: readonly ServiceInstance[];
  readonly back: readonly ServiceInstance[];
  readonly gone: readonly ServiceInstance[];
}

const NO_DOUBTS: Doubts = { fresh: [], back: [], gone: [] };

function doubtsBetween(before: Snapshot, { suspects, instances }: Snapshot): Doubts {
  if (suspects.length === 0 && before.suspects.length === 0) return NO_DOUBTS;
  const [doubted, doubtedBefore] = [new Set(suspects), new Set(before.suspects)];
  const over = instances.filter(({ id }) => doubtedBefore.has(id) && !doubted.has(id));
  const back = over.filter(({ status }) => status !== "failed"); // else the registry named it to the end, as failed
  const here = new Set([...back.map(({ id }) => id), ...suspects]);
  return {
    fresh: instances.filter(({ id }) => doubted.has(id) && !doubtedBefore.has(id)),
    back,
    gone: before.instances.filter(({ id }) => doubtedBefore.has(id) && !here.has(id)),
  };
}
