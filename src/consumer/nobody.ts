import type { Endpoint } from "../endpoint/endpoint.js";
import { DiscoveryError } from "../model/errors.js";
import type { Snapshot } from "../model/update.js";

/** Three different reasons for the same empty hand; each error says what to do about its own. */
export function nobodyUsable(about: {
  readonly service: string;
  readonly registry: string;
  readonly state: Snapshot["state"];
  readonly endpoints: readonly Endpoint[];
  readonly waitMs: number;
  readonly cause: DiscoveryError | undefined;
}): DiscoveryError {
  const { service, registry, state, endpoints, waitMs, cause } = about;
  if (state === "unknown") {
    const message = `${registry} has not told of "${service}" within ${waitMs} ms. Is it running, and is its URL right?`;
    return new DiscoveryError(cause?.code === "UNAUTHORIZED" ? "UNAUTHORIZED" : "UNAVAILABLE", message, {
      service,
      cause,
    });
  }
  if (state === "absent") {
    const message = `${registry} knows no service "${service}". Is the name right, and has a provider registered it?`;
    return new DiscoveryError("SERVICE_UNKNOWN", message, { service });
  }
  const counts = countsOf(endpoints);
  const listed = Object.entries(counts).map(([stage, count]) => `${count} ${stage}`);
  const message = `No instance of "${service}" can be called: ${listed.join(", ")}. Start one, or see why they left.`;
  return new DiscoveryError("NO_INSTANCES", message, { service, counts });
}

function countsOf(endpoints: readonly Endpoint[]): Record<string, number> {
  const counts: Record<string, number> = { known: endpoints.length };
  for (const { instance, ejection, suspect } of endpoints) {
    const stage = ejection.cause ? "ejected" : suspect ? "suspect" : instance.status;
    counts[stage] = (counts[stage] ?? 0) + 1;
  }
  return counts;
}
