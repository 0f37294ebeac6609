import type { ServiceInstance } from "../../model/instance.js";

/**
 * What an instance says of itself under a name: its `version`, its `zone`, or a key of its metadata. Registries that
 * know neither field keep both in the metadata, so that is looked into as well.
 */
export function labelOf(instance: ServiceInstance, name: string): string | undefined {
  if (name === "version" && instance.version !== undefined) return instance.version;
  if (name === "zone" && instance.zone !== undefined) return instance.zone;
  return instance.metadata[name];
}
