import { channel } from "node:diagnostics_channel";

/**
 * What tracing tools can subscribe to with `node:diagnostics_channel`. Check `hasSubscribers` before making a message:
 * unheard, a channel then costs a nanosecond.
 */
export const channels = {
  /** A service's instances changed: `{ service, snapshot, difference, update }`. */
  update: channel("discovery:update"),
  /** An endpoint was taken out of rotation: `{ service, instance, cause, pauseMs }`. */
  eject: channel("discovery:eject"),
  /** A call went on to another instance: `{ service, instance, error, attempt, isTrial }`. */
  retry: channel("discovery:retry"),
  /** A heartbeat was answered or missed: `{ registry, leases, error }`. */
  heartbeat: channel("discovery:heartbeat"),
  /** Another registry of a failover is read, because of `error` or because a preferred one is back: `{ from, to, error }`. */
  failover: channel("discovery:failover"),
  /** A registry that pushes is polled from now on, because of `error`, or pushes again: `{ registry, watch, error }`. */
  watch: channel("discovery:watch"),
} as const;
