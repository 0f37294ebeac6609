import type { ServiceInstance } from "../model/instance.js";
import type { RegistryUpdate } from "../model/update.js";
import { isDecision, isUsable } from "./doubt.js";

type Told = ReadonlyMap<string, ServiceInstance>;

/** Who could be called, and by this update no longer can, though nobody decided that. */
export function lostBy(told: Told, update: Exclude<RegistryUpdate, { type: "current" }>): ServiceInstance[] {
  switch (update.type) {
    case "reset": {
      const listed = new Map(update.instances.map((instance) => [instance.id, instance]));
      return [...told.values()].filter((held) => isLost(held, listed.get(held.id)));
    }
    case "change": {
      const removed = update.removed.filter(({ reason }) => !isDecision(reason)).map(({ id }) => told.get(id));
      const failed = update.upserted.map((next) => failedNow(told.get(next.id), next));
      return [...removed, ...failed].filter((each) => each !== undefined);
    }
    case "absent":
      return [...told.values()];
  }
}

/** How many take calls as a matter of course, those left out `besides`. */
export function usableOf(told: Told, besides?: ReadonlyMap<string, unknown>): number {
  let count = 0;
  for (const [id, instance] of told) if (isUsable(instance) && !besides?.has(id)) count++;
  return count;
}

function failedNow(held: ServiceInstance | undefined, next: ServiceInstance): ServiceInstance | undefined {
  return held && isLost(held, next) ? held : undefined;
}

/** Whether somebody who could be called no longer can, as the registry tells it. */
function isLost(held: ServiceInstance, next: ServiceInstance | undefined): boolean {
  return next === undefined || (next.status === "failed" && held.status !== "failed");
}
