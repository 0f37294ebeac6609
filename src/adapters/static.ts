import { invalid } from "../model/fields.js";
import { byId, defineInstance, type InstanceInput, type ServiceInstance } from "../model/instance.js";
import type { Discovery } from "../registry/registry.js";

/**
 * A list that never changes, as a source of instances: for tests, and for services that register nowhere.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`, naming the instance and the field
 */
export function staticRegistry(instances: readonly InstanceInput[]): Discovery {
  if (!Array.isArray(instances)) throw invalid("staticRegistry", instances, "an array of instances");
  const services = new Map<string, ServiceInstance[]>();
  for (const [index, input] of (instances as readonly InstanceInput[]).entries()) {
    const instance = defineInstance(input, `staticRegistry[${index}]`);
    const listed = services.get(instance.service) ?? [];
    if (listed.some(({ id }) => id === instance.id)) {
      throw invalid(`staticRegistry[${index}].id`, instance.id, "different from those before it");
    }
    services.set(instance.service, [...listed, instance].sort(byId));
  }
  return {
    name: "static",
    capabilities: {
      watch: "none",
      lease: "none",
      reasons: false,
      epoch: false,
      absence: true,
      quietMs: Number.POSITIVE_INFINITY,
    },
    list: async (service, { since }) => {
      const listed = services.get(service);
      if (!listed) return { type: "absent" };
      return since === "0" ? { type: "current", position: "0" } : { type: "reset", instances: listed, position: "0" };
    },
    services: async () => [...services.keys()].sort(),
    close: async () => {},
  };
}
