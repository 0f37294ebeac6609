import { unreachable } from "./errors.js";
import { byId, type ServiceInstance, sameInstance } from "./instance.js";

/** Why an instance left, where the registry tells. A reason may be believed at once. */
export type RemovalReason = "deregistered" | "expired" | "probe_failed" | "replaced" | "evicted";

/** One instance that left. */
export interface Removal {
  readonly id: string;
  readonly reason?: RemovalReason | undefined;
}

/** A point in a registry's history. Opaque: only the source that gave it may compare it. */
export type Position = string;

/** Everything a registry can say about one service. */
export type RegistryUpdate = (
  | {
      /** The whole truth at one moment. */
      readonly type: "reset";
      readonly instances: readonly ServiceInstance[];
      readonly position?: Position | undefined;
      readonly epoch?: string | undefined;
      /** True while the registry has just started empty: absence proves nothing yet. */
      readonly warming?: boolean | undefined;
      /** Records that could not be read and were left out. */
      readonly invalid?: number | undefined;
    }
  | {
      /** What has changed since the position `since`. */
      readonly type: "change";
      readonly upserted: readonly ServiceInstance[];
      readonly removed: readonly Removal[];
      readonly since?: Position | undefined;
      readonly position: Position;
      readonly epoch?: string | undefined;
      readonly invalid?: number | undefined;
    }
  | {
      /** Alive, and nothing has changed. Never the answer of a warming registry to `list()`. */
      readonly type: "current";
      readonly position?: Position | undefined;
      readonly epoch?: string | undefined;
    }
  | {
      /** This registry does not know the name. */
      readonly type: "absent";
      readonly epoch?: string | undefined;
      readonly warming?: boolean | undefined;
    }
) & {
  /** True while one of several registries is away: what it said last stands for what it would say. */
  readonly partial?: boolean | undefined;
};

/** What differs between two moments of one service. */
export interface Difference {
  readonly added: readonly ServiceInstance[];
  readonly updated: readonly ServiceInstance[];
  readonly removed: readonly ServiceInstance[];
}

/** All instances of a service at one moment. Frozen. */
export interface Snapshot {
  readonly service: string;
  /** In the order of their ids. */
  readonly instances: readonly ServiceInstance[];
  /** `absent`: no registry has ever known the name; `unknown`: none has answered yet. */
  readonly state: "known" | "absent" | "unknown";
  /** True when the registry has not confirmed the list for longer than `staleAfterMs`, or not yet at all. */
  readonly stale: boolean;
  /** `disk`: kept from an earlier life of this process, and not yet confirmed by the registry. */
  readonly source: "registry" | "disk";
  /** How old a list from disk was when it was taken up, in milliseconds. */
  readonly ageMs: number | undefined;
  /** The registry's epoch, where it has one. */
  readonly epoch: string | undefined;
  /** True while the registry that answered has just started empty. */
  readonly warming: boolean;
  /** Instances the registry no longer lists, kept because its silence proves nothing. */
  readonly suspects: readonly string[];
}

/** Applies one update in place, so that a delta costs what it changes; undefined if nothing differs. */
export function applyUpdate(known: Map<string, ServiceInstance>, update: RegistryUpdate): Difference | undefined {
  switch (update.type) {
    case "reset":
      return replaceAll(known, update.instances);
    case "change":
      return patch(known, update.upserted, update.removed);
    case "current":
    case "absent": // says nothing about the instances we know: the consumer decides
      return undefined;
    default:
      return unreachable(update);
  }
}

function replaceAll(
  known: Map<string, ServiceInstance>,
  instances: readonly ServiceInstance[],
): Difference | undefined {
  const listed = new Set<string>();
  for (const { id } of instances) listed.add(id);
  const gone: Removal[] = [];
  for (const id of known.keys()) if (!listed.has(id)) gone.push({ id });
  return patch(known, instances, gone);
}

function patch(
  known: Map<string, ServiceInstance>,
  upserted: readonly ServiceInstance[],
  gone: readonly Removal[],
): Difference | undefined {
  const added: ServiceInstance[] = [];
  const updated: ServiceInstance[] = [];
  const removed: ServiceInstance[] = [];
  for (const { id } of gone) {
    const before = known.get(id);
    if (before && known.delete(id)) removed.push(before);
  }
  for (const instance of upserted) {
    const before = known.get(instance.id);
    if (before && sameInstance(before, instance)) continue;
    known.set(instance.id, instance);
    (before ? updated : added).push(instance);
  }
  return added.length + updated.length + removed.length > 0 ? { added, updated, removed } : undefined;
}

/** The known instances in the order of their ids, as a frozen list. */
export function inOrder(known: ReadonlyMap<string, ServiceInstance>): readonly ServiceInstance[] {
  return Object.freeze([...known.values()].sort(byId));
}

/** Whether two lists in the order of their ids say the same: ends at the first difference, and makes none. */
export function sameInstances(a: readonly ServiceInstance[], b: readonly ServiceInstance[]): boolean {
  return a.length === b.length && a.every((instance, index) => sameInstance(instance, b[index] as ServiceInstance));
}

/** What differs between two lists in the order of their ids; undefined if nothing does. */
export function difference(
  before: readonly ServiceInstance[],
  after: readonly ServiceInstance[],
): Difference | undefined {
  const added: ServiceInstance[] = [];
  const updated: ServiceInstance[] = [];
  const removed: ServiceInstance[] = [];
  let index = 0;
  for (const instance of after) {
    let old = before[index];
    for (; old && old.id < instance.id; old = before[++index]) removed.push(old);
    if (old?.id !== instance.id) added.push(instance);
    else {
      if (!sameInstance(old, instance)) updated.push(instance);
      index++;
    }
  }
  removed.push(...before.slice(index));
  return added.length + updated.length + removed.length > 0 ? { added, updated, removed } : undefined;
}
