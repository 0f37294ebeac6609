import { adaptive, latencyWeighted, leastRequests, random, roundRobin } from "../../../dist/index.js";
import { peakEwma } from "./peak-ewma.mjs";

/** Each makes what one client needs: a balancer, and for those that keep their own books two functions to be told. */
export const CONTESTANTS = {
  "round-robin": () => ({ balancer: roundRobin() }),
  random: () => ({ balancer: random() }),
  "least-requests": () => ({ balancer: leastRequests() }),
  "the bare law": () => ({ balancer: latencyWeighted({ selection: "proportional" }) }),
  "Finagle's PeakEWMA": peakEwma,
  "latency-weighted": () => ({ balancer: latencyWeighted() }),
  adaptive: () => ({ balancer: adaptive() }),
};

/** Who also hears what servers report; they play in the scenarios of `REPORTED`. */
export const HEARING = { "adaptive that hears reports": () => ({ balancer: adaptive({ reportedLoad: true }) }) };
