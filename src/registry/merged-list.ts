import { byId, inStatus, type ServiceInstance } from "../model/instance.js";
import { applyUpdate, type Position, type RegistryUpdate, type Removal } from "../model/update.js";

/** What one of several registries knows of a service. Never changed: an update makes another. */
export interface MergePart {
  /** Undefined while it knows no such name. */
  readonly instances: ReadonlyMap<string, ServiceInstance> | undefined;
  readonly position: Position | undefined;
  readonly epoch: string | undefined;
  readonly warming: boolean;
  readonly invalid: number;
  /** It is several itself, and one of those is away. */
  readonly partial: boolean;
}

/** What each registry knows, in the order of precedence; undefined where one was never heard. */
export type MergeParts = readonly (MergePart | undefined)[];

/** The part after an update; undefined if an update is missing before this one. */
export function partAfter(part: MergePart | undefined, update: RegistryUpdate): MergePart | undefined {
  const { partial = false } = update;
  switch (update.type) {
    case "reset": {
      const { position, epoch, warming = false, invalid = 0 } = update;
      const instances = new Map(update.instances.map((each) => [each.id, each]));
      return { instances, position, epoch, warming, invalid, partial };
    }
    case "absent":
      return {
        instances: undefined,
        position: undefined,
        epoch: update.epoch,
        warming: update.warming ?? false,
        invalid: 0,
        partial,
      };
    case "current":
      return part && { ...part, position: update.position ?? part.position, partial };
    case "change": {
      if (!part || (update.since !== undefined && update.since !== part.position)) return undefined;
      const instances = new Map(part.instances);
      applyUpdate(instances, update);
      const { position, epoch = part.epoch, invalid = part.invalid } = update;
      return { ...part, instances, position, epoch, invalid, partial };
    }
  }
}

/** All parts as one list: whoever is in any of them is in it. */
export function mergedList(parts: MergeParts): RegistryUpdate {
  const epoch = epochOf(parts);
  const heard = parts.filter((part) => part !== undefined);
  const warming = heard.some((part) => part.warming);
  if (heard.every(({ instances }) => instances === undefined)) {
    return { type: "absent", epoch, warming: warming || heard.length < parts.length };
  }
  const ids = new Set(heard.flatMap(({ instances }) => [...(instances?.keys() ?? [])]));
  const instances = [...ids].map((id) => mergedInstance(parts, id) as ServiceInstance).sort(byId);
  const invalid = heard.reduce((sum, part) => sum + part.invalid, 0);
  return { type: "reset", instances, position: positionOf(parts), epoch, warming, ...(invalid > 0 ? { invalid } : {}) };
}

/** Whether one of them is several of which one is away. */
export function isPartial(parts: MergeParts): boolean {
  return parts.some((part) => part?.partial);
}

/** What one registry's change changes in the whole. */
export function mergedChange(
  before: MergeParts,
  after: MergeParts,
  { upserted, removed }: RegistryUpdate & { type: "change" },
): RegistryUpdate {
  const changed: ServiceInstance[] = [];
  const gone: Removal[] = [];
  for (const removal of removed) {
    const left = mergedInstance(after, removal.id);
    if (left) changed.push(left);
    else gone.push(removal);
  }
  for (const { id } of upserted) changed.push(mergedInstance(after, id) as ServiceInstance);
  const epoch = epochOf(after);
  return {
    type: "change",
    upserted: changed,
    removed: gone,
    since: positionOf(before),
    position: positionOf(after),
    epoch,
  };
}

/** Where every registry stands. */
export function positionOf(parts: MergeParts): Position {
  return JSON.stringify(parts.map((part) => (part ? [part.position ?? null, part.epoch ?? null] : null)));
}

function epochOf(parts: MergeParts): string {
  return JSON.stringify(parts.map((part) => (part ? (part.epoch ?? "") : null)));
}

/**
 * The first registry's record, unless it has given the instance up and another has not: alive in one is alive. But
 * whoever says anywhere that it is leaving is leaving.
 */
function mergedInstance(parts: MergeParts, id: string): ServiceInstance | undefined {
  let chosen: ServiceInstance | undefined;
  let isDraining = false;
  for (const part of parts) {
    const record = part?.instances?.get(id);
    if (!record) continue;
    isDraining ||= record.status === "draining";
    if (!chosen || (chosen.status === "failed" && record.status !== "failed")) chosen = record;
  }
  return chosen && isDraining && chosen.status !== "failed" ? inStatus(chosen, "draining") : chosen;
}
