import type { MemoryRegistry } from "../registry/memory-options.js";
import type { Registry } from "../registry/registry.js";
import type { ProberCounts } from "./prober.js";

/** A registry that may tell more of itself than it has to. */
export type Overview = Registry &
  Partial<Pick<MemoryRegistry, "epoch" | "revision" | "warming">> & {
    /** What has befallen its instances since it began, by event. */
    readonly counters?: Readonly<Record<string, number>>;
  };

/** A service in the list of all. */
export interface ServiceCount {
  readonly service_name: string;
  readonly instances: number;
  readonly statuses: Readonly<Record<string, number>>;
}

/** The services whose names begin with `prefix`, and how many of their instances are in which status. */
export async function serviceCounts(registry: Registry, prefix: string, signal: AbortSignal): Promise<ServiceCount[]> {
  const names = (await registry.services?.({ signal })) ?? [];
  const counts: ServiceCount[] = [];
  for (const service_name of names) {
    if (!service_name.startsWith(prefix.toLowerCase())) continue;
    const update = await registry.list(service_name, { signal });
    const instances = update.type === "reset" ? update.instances : [];
    const statuses: Record<string, number> = {};
    for (const { status } of instances) statuses[status] = (statuses[status] ?? 0) + 1;
    counts.push({ service_name, instances: instances.length, statuses });
  }
  return counts;
}

/** How the registry is, for people and for probes. */
export async function statusOf(
  registry: Overview,
  prober: ProberCounts | undefined,
  signal: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> {
  const { name, epoch, revision, warming = false, counters } = registry;
  const services = (await registry.services?.({ signal }))?.length ?? 0;
  return { status: "ok", protocol: 1, registry: name, epoch, revision, warming, services, counters, prober };
}
