import { DiscoveryError } from "../model/errors.js";
import { invalid, serviceName } from "../model/fields.js";
import type { ServiceInstance } from "../model/instance.js";
import { systemClock } from "../runtime/clock.js";
import { haltSignal, within } from "../runtime/deadline.js";
import { knownKeys } from "../runtime/options.js";
import type { Discovery } from "./registry.js";

/** A registry that does not answer one question within this, in milliseconds, is away. */
const ANSWER_WITHIN_MS = 10_000;
/** Services asked for at once: a comparison is not to be felt by those who use the registries. */
const AT_ONCE = 8;
/** What is compared. When and by which lease an instance was registered differs by nature. */
const FIELDS = ["host", "port", "protocol", "weight", "zone", "version", "tags", "metadata", "status"] as const;

/** What to compare. */
export interface CompareOptions {
  /** Names of services. @default all that either of them knows */
  readonly services?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One field in which two registries differ; what has no value is null. */
export interface FieldDifference {
  readonly field: (typeof FIELDS)[number];
  readonly first: unknown;
  readonly second: unknown;
}

/** How two registries differ about one service. */
export interface ServiceComparison {
  readonly service: string;
  /** Ids that only the first lists. */
  readonly onlyFirst: readonly string[];
  /** Ids that only the second lists. */
  readonly onlySecond: readonly string[];
  /** Ids that both list, with other fields. */
  readonly different: readonly { readonly id: string; readonly fields: readonly FieldDifference[] }[];
}

/** How two registries differ. Plain data, fit for JSON. */
export interface RegistryComparison {
  readonly first: string;
  readonly second: string;
  readonly equal: boolean;
  /** How many services were compared. */
  readonly compared: number;
  /** Those about which they differ, in the order of their names. */
  readonly services: readonly ServiceComparison[];
  /** Registries that have just started, or left out records that they could not read: what they lack proves little. */
  readonly doubtful: readonly ("first" | "second")[];
}

interface Listed {
  readonly instances: ReadonlyMap<string, ServiceInstance>;
  readonly isDoubtful: boolean;
}

/**
 * Tells what one registry knows and the other does not.
 *
 * @throws {DiscoveryError} `UNSUPPORTED` if no services were named and a registry cannot tell its names; what a registry
 * that is away fails with
 */
export async function compareRegistries(
  first: Discovery,
  second: Discovery,
  options: CompareOptions = {},
): Promise<RegistryComparison> {
  knownKeys("compare", options, ["services", "signal"]);
  const { services, signal = haltSignal().signal } = options;
  if (services !== undefined && !Array.isArray(services)) throw invalid("compare.services", services, "an array");
  const names = services
    ? services.map((each, index) => serviceName(`compare.services[${index}]`, each))
    : (await Promise.all([first, second].map((each) => namesIn(each, signal)))).flat();
  const waiting = [...new Set(names)].sort();
  const compared: ServiceComparison[] = [];
  const doubtful = new Set<"first" | "second">();
  const left = waiting.values();
  const work = async (): Promise<void> => {
    for (const service of left) {
      const [a, b] = await Promise.all([listed(first, service, signal), listed(second, service, signal)]);
      if (a.isDoubtful) doubtful.add("first");
      if (b.isDoubtful) doubtful.add("second");
      compared.push(compareService(service, a.instances, b.instances));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const differing = compared.filter(isDifferent).sort((a, b) => (a.service < b.service ? -1 : 1));
  return {
    first: first.name,
    second: second.name,
    equal: differing.length === 0,
    compared: compared.length,
    services: differing,
    doubtful: [...doubtful].sort(),
  };
}

function namesIn(registry: Discovery, signal: AbortSignal): Promise<readonly string[]> {
  if (!registry.services) {
    throw new DiscoveryError("UNSUPPORTED", `${registry.name} cannot tell its services: name those to compare`, {
      field: "compare.services",
    });
  }
  const ground = { clock: systemClock, signal };
  return within(`services of ${registry.name}`, ANSWER_WITHIN_MS, ground, async (signal) => {
    return (await registry.services?.({ signal })) ?? [];
  });
}

async function listed(registry: Discovery, service: string, signal: AbortSignal): Promise<Listed> {
  const ground = { clock: systemClock, signal };
  const update = await within(`list of ${service} at ${registry.name}`, ANSWER_WITHIN_MS, ground, (signal) =>
    registry.list(service, { signal }),
  );
  const instances = update.type === "reset" ? update.instances : [];
  const warming = "warming" in update && update.warming === true;
  const invalid = "invalid" in update && (update.invalid ?? 0) > 0;
  return { instances: new Map(instances.map((each) => [each.id, each])), isDoubtful: warming || invalid };
}

function compareService(
  service: string,
  first: ReadonlyMap<string, ServiceInstance>,
  second: ReadonlyMap<string, ServiceInstance>,
): ServiceComparison {
  const ids = [...first.keys()].sort();
  return {
    service,
    onlyFirst: ids.filter((id) => !second.has(id)),
    onlySecond: [...second.keys()].filter((id) => !first.has(id)).sort(),
    different: ids.flatMap((id) => {
      const [a, b] = [first.get(id), second.get(id)];
      const fields = a && b ? differencesOf(a, b) : [];
      return fields.length > 0 ? [{ id, fields }] : [];
    }),
  };
}

function differencesOf(first: ServiceInstance, second: ServiceInstance): readonly FieldDifference[] {
  return FIELDS.filter((field) => shown(first[field]) !== shown(second[field])).map((field) => ({
    field,
    first: first[field] ?? null,
    second: second[field] ?? null,
  }));
}

/** Two values are the same if they look the same; the order of keys means nothing. */
function shown(value: unknown): string {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return JSON.stringify(isObject ? Object.entries(value).sort() : value) ?? "";
}

function isDifferent({ onlyFirst, onlySecond, different }: ServiceComparison): boolean {
  return onlyFirst.length + onlySecond.length + different.length > 0;
}
