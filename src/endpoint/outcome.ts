/**
 * How a call ended. `failure`: 5xx, timeout, reset. `refused`: nothing was sent, nobody listens. `overloaded`: 429 or
 * 503. `cancelled`: the caller gave up, which says nothing about the endpoint.
 */
export type Outcome = "success" | "failure" | "refused" | "overloaded" | "cancelled";
