import type { Endpoint } from "../endpoint/endpoint.js";
import { DiscoveryError, saidBy } from "../model/errors.js";
import type { Snapshot } from "../model/update.js";
import { isRefusal } from "./refusal.js";
import type { Routing } from "./routing.js";

/** Different reasons for the same empty hand; each error says what to do about its own. */
export function nobodyUsable(about: {
  readonly service: string;
  readonly registry: string;
  readonly state: Snapshot["state"];
  /** The registry has just started: what it does not know proves nothing yet. */
  readonly warming: boolean;
  readonly endpoints: readonly Endpoint[];
  readonly routing: Routing;
  /** Whether everybody who could be picked is at the limit of calls in flight. */
  readonly isFull: boolean;
  readonly waitMs: number;
  readonly cause: DiscoveryError | undefined;
}): DiscoveryError {
  const { service, registry, state, endpoints, routing, waitMs, cause } = about;
  if (state === "unknown" && isRefusal(cause)) {
    const message = `${registry} does not tell of "${service}": ${saidBy(cause)}`;
    return new DiscoveryError(cause.code, message, { service, cause });
  }
  if (state === "unknown") {
    const said = cause ? `: ${saidBy(cause)}` : ". Is it running, and is its URL right?";
    const message = `${registry} has not told of "${service}" within ${waitMs} ms${said}`;
    return new DiscoveryError("UNAVAILABLE", message, { service, cause });
  }
  if (about.warming && endpoints.length === 0) {
    const message = `${registry} knows no "${service}" yet: it has just started, or stands in for one that is away. Is the name right? Otherwise ask again in a moment.`;
    return new DiscoveryError("NO_INSTANCES", message, { service, counts: { known: 0 } });
  }
  if (state === "absent") {
    const message = `${registry} knows no service "${service}". Is the name right, and has a provider registered it?`;
    return new DiscoveryError("SERVICE_UNKNOWN", message, { service });
  }
  if (about.isFull) return full(service, endpoints, routing);
  const { counts, matching, missing } = filtered(endpoints, routing);
  if (endpoints.length > 0 && matching.length === 0) {
    const message = `No instance of "${service}" is of ${missing}; left by each filter: ${listed(counts)}. Widen the filter, or start such an instance.`;
    return new DiscoveryError("NO_MATCH", message, { service, counts });
  }
  for (const { instance, ejection, suspect } of matching) {
    const stage = ejection.cause ? "ejected" : suspect ? "suspect" : instance.status;
    counts[stage] = (counts[stage] ?? 0) + 1;
  }
  const message = `No instance of "${service}" can be called: ${listed(counts)}. Start one, or see why they left.`;
  return new DiscoveryError("NO_INSTANCES", message, { service, counts });
}

function full(service: string, endpoints: readonly Endpoint[], { maxInFlight }: Routing): DiscoveryError {
  const inFlight = endpoints.reduce((sum, { load }) => sum + load.inFlight, 0);
  const atLimit = endpoints.filter(({ load }) => load.inFlight >= maxInFlight).length;
  const counts = { known: endpoints.length, atLimit, inFlight };
  const message = `Every usable instance of "${service}" has ${maxInFlight} calls in flight, the most that is allowed: ${listed(counts)}.`;
  return new DiscoveryError("OVERLOADED", message, { service, counts });
}

/** How many are left after each filter, and the demand that nobody met. */
function filtered(endpoints: readonly Endpoint[], { filters }: Routing) {
  const counts: Record<string, number> = { known: endpoints.length };
  let matching = endpoints;
  let missing = "";
  for (const { stage, wants, keeps } of filters) {
    if (matching.length > 0) missing = wants;
    matching = matching.filter(({ instance }) => keeps(instance));
    counts[stage] = matching.length;
  }
  return { counts, matching, missing };
}

function listed(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([stage, count]) => `${count} ${stage}`)
    .join(", ");
}
