import type { DiscoveryError } from "../model/errors.js";
import type { InstanceStatus, ServiceInstance } from "../model/instance.js";
import type { Lease } from "../registry/registry.js";

/** Where an agent stands. `draining` covers `drain()` and all of `stop()`. */
export type AgentState = "idle" | "registering" | "registered" | "lost" | "draining" | "stopped";

/** What can befall a registration. Each event carries one object, so that fields can be added later. */
export type AgentEvents = {
  /** `readyWhen` did not pass; it is asked again. Nobody is told of us before it has. */
  readyFailed(event: { cause: unknown; attempt: number; retryInMs: number }): void;
  /** The registry took us in: at the start, and whenever a lost lease was won back. */
  registered(event: { lease: Lease; attempt: number; restored: boolean }): void;
  /** A try to register failed; the next one follows. */
  registerFailed(event: { cause: DiscoveryError; attempt: number; retryInMs: number }): void;
  /** A heartbeat went unanswered; the next one follows soon. */
  beatMissed(event: { lease: Lease; cause: DiscoveryError }): void;
  /** The lease is gone: consumers cannot see us. We are registering again by ourselves. */
  lost(event: { lease: Lease; cause: DiscoveryError }): void;
  /** Another process has taken our id. We give way for a while: 15 to 30 s, up to five minutes if it comes again. */
  conflict(event: { cause: DiscoveryError }): void;
  /** The registry's probes failed: it keeps our lease and does not list us. Is the port reachable from there? */
  unlisted(event: { instance: ServiceInstance; status: InstanceStatus }): void;
  /** Its probes pass again: we are listed. */
  relisted(event: { instance: ServiceInstance }): void;
  /**
   * We asked for no new calls: by `drain()`, which keeps the lease, or since we are `leaving`. The moment to end what
   * would go on for ever, such as WebSockets.
   */
  draining(event: { instance: ServiceInstance; leaving: boolean }): void;
  /** We left, and the attached server is closed. */
  stopped(event: Farewell): void;
};

/** What came of a `stop()`. */
export interface Farewell {
  /** Whether the registry took us out; otherwise the ttl does. */
  readonly deregistered: boolean;
  /** Watching consumers that confirmed it, where the registry collects that. */
  readonly acked?: number | undefined;
  /** Watching consumers that had not confirmed it when the wait was over. */
  readonly waiting?: number | undefined;
  /** Requests and upgraded connections of the attached server that were cut off; 0 is as it should be. */
  readonly inFlight: number;
  /** What your own `close` failed with, see `AttachOptions`. */
  readonly closeError?: unknown;
  /** How long all of it took, in milliseconds. */
  readonly tookMs: number;
}
