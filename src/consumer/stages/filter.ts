import type { Protocol, ServiceInstance } from "../../model/instance.js";
import type { VersionRange } from "../../model/version-range.js";
import { labelOf } from "./label.js";
import type { SplitRule } from "./split.js";

/** One demand on an instance. Who does not meet it is never called, not even in panic. */
export interface Filter {
  readonly stage: "tags" | "metadata" | "version" | "protocol" | "split";
  /** The demand, for people: `version ^1.2`. */
  readonly wants: string;
  keeps(instance: ServiceInstance): boolean;
}

/** The instance has every one of these tags. */
export function tagFilter(tags: readonly string[]): Filter {
  return {
    stage: "tags",
    wants: `tags ${tags.join(", ")}`,
    keeps: (instance) => tags.every((tag) => instance.tags.includes(tag)),
  };
}

/** The instance's metadata has exactly these values. */
export function metadataFilter(metadata: Readonly<Record<string, string>>): Filter {
  const wanted = Object.entries(metadata);
  return {
    stage: "metadata",
    wants: `metadata ${wanted.map(([key, value]) => `${key}=${value}`).join(", ")}`,
    keeps: (instance) => wanted.every(([key, value]) => instance.metadata[key] === value),
  };
}

/** The instance's version lies in a range. */
export function versionFilter(text: string, range: VersionRange): Filter {
  return { stage: "version", wants: `version ${text}`, keeps: (instance) => range(labelOf(instance, "version")) };
}

/** The instance is spoken to in this way. */
export function protocolFilter(protocol: Protocol): Filter {
  return { stage: "protocol", wants: `protocol ${protocol}`, keeps: (instance) => instance.protocol === protocol };
}

/** The instance has a part in the split. */
export function splitFilter(rule: SplitRule): Filter {
  return {
    stage: "split",
    wants: `a share of the split over ${rule.label}`,
    keeps: (instance) => rule.groupOf(instance) !== undefined,
  };
}
