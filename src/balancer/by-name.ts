import { DiscoveryError } from "../model/errors.js";
import { nearest } from "../runtime/options.js";
import { adaptive } from "./adaptive.js";
import type { Balancer } from "./balancer.js";
import { consistentHash } from "./consistent-hash.js";
import { latencyWeighted } from "./latency-weighted.js";
import { leastRequests } from "./least-requests.js";
import { random } from "./random.js";
import { roundRobin } from "./round-robin.js";

const BALANCERS = {
  "round-robin": roundRobin,
  random,
  "least-requests": leastRequests,
  "latency-weighted": latencyWeighted,
  adaptive,
  "consistent-hash": consistentHash,
} as const satisfies Record<string, () => Balancer>;

/** The balancers that configuration may name. */
export type BalancerName = keyof typeof BALANCERS;

/**
 * The balancer of that name, with its default options.
 *
 * @param field what the error calls the option that held the name
 * @throws {DiscoveryError} `INVALID_OPTION`, with the name that was probably meant
 */
export function balancerNamed(name: BalancerName, field = "balancer"): Balancer {
  if (Object.hasOwn(BALANCERS, name)) return BALANCERS[name]();
  const known = Object.keys(BALANCERS);
  const near = nearest(String(name), known);
  const hint = near ? `did you mean ${near}?` : `known are ${known.join(", ")}`;
  throw new DiscoveryError("INVALID_OPTION", `${field} ${JSON.stringify(name)} is no balancer: ${hint}`, { field });
}
