import type { Endpoint } from "../../endpoint/endpoint.js";

/** The best kind of endpoint that is there; a worse one is picked only when no better is left. */
export type Tier = "healthy" | "unstable" | "draining" | "failed";

/** Best first. */
export const TIERS: readonly Tier[] = ["healthy", "unstable", "draining", "failed"];

/** Which tier an endpoint is in; undefined while it is starting: it is never picked. */
export function tierOf({ instance, suspect }: Endpoint): Tier | undefined {
  switch (instance.status) {
    case "healthy":
      return suspect ? "unstable" : "healthy";
    case "unstable":
    case "draining":
    case "failed":
      return instance.status;
    case "starting":
      return undefined;
  }
}
