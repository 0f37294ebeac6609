import { invalid } from "../model/fields.js";
import type { HealthCheck } from "../registry/registry.js";
import { durationMs, functionOr, knownKeys } from "../runtime/options.js";
import type { Closing } from "./attachment.js";
import { workerNumber } from "./cluster-worker.js";
import type { Goodbye } from "./farewell.js";
import { type HealthOptions, healthCheckOf } from "./health.js";
import { signalsOf } from "./signals.js";

/** How an agent looks after a server. All durations in milliseconds. */
export interface AttachOptions {
  /**
   * Signals at which the agent stops. After the first of them our listeners are gone, so that a second one ends the
   * process as if we were not there; after the goodbye the process ends by itself.
   *
   * @default true: `SIGTERM` and `SIGINT`; false for none
   */
  readonly signals?: boolean | readonly NodeJS.Signals[];
  /**
   * Answers GET and HEAD at `/health` (readiness) and `/health/live` in the server's place, and asks the registry to
   * probe the latter. `false` leaves the paths to your app.
   *
   * @default true for a server of `node:http` or `node:https`
   */
  readonly health?: boolean | HealthOptions;
  /**
   * How long requests in flight may take to finish once consumers know that we left; then they are cut off.
   *
   * @default 10_000, as Dubbo's
   */
  readonly graceMs?: number;
  /**
   * The port is closed when no request has come for this long, at the latest after half of `graceMs`. A consumer may have
   * picked us just before it heard.
   *
   * @default 250: one round trip around the earth to connect, and a consumer's busy moment
   */
  readonly quietMs?: number;
  /**
   * Closes the server, for frameworks with a closing of their own: `() => app.close()`.
   *
   * @default `server.close()` and the closing of idle connections
   */
  readonly close?: () => unknown;
}

/** The same, checked, with its defaults. */
export interface Attaching {
  readonly signals: readonly NodeJS.Signals[];
  readonly health: HealthCheck | undefined;
  readonly closing: Omit<Closing, "quietWithinMs">;
}

/** @throws {DiscoveryError} `INVALID_OPTION`, naming the option */
export function attachingOf(server: unknown, options: AttachOptions): Attaching {
  if (!isServer(server)) throw invalid("attach.server", server, "a server of node:http, node:https or node:net");
  knownKeys("attach", options, ["signals", "health", "graceMs", "quietMs", "close"]);
  const isProbeable = "closeAllConnections" in server; // HTTP/1.1: what a registry's probes speak
  const graceMs = durationMs("attach.graceMs", options.graceMs, 10_000, 0, 3_600_000);
  const quietMs = durationMs("attach.quietMs", options.quietMs, 250, 0, 60_000);
  const close = options.close && functionOr("attach.close", options.close, options.close);
  return {
    signals: signalsOf("attach.signals", options.signals),
    health: healthCheckOf("attach.health", options.health ?? isProbeable),
    closing: { graceMs, quietMs, close },
  };
}

/** How the server is closed after the goodbye: it becomes quiet only if consumers have heard and no other worker serves on. */
export function closingAfter({ deregistered }: Goodbye, wasHeld: boolean, closing: Attaching["closing"]): Closing {
  const quietMs = wasHeld ? closing.quietMs : 0;
  const canBeQuiet = deregistered && workerNumber() === undefined;
  return { ...closing, quietMs, quietWithinMs: canBeQuiet ? closing.graceMs / 2 : quietMs };
}

function isServer(server: unknown): server is object {
  return typeof server === "object" && server !== null && "listen" in server && "emit" in server;
}
