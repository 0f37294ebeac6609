import type { IncomingMessage, ServerResponse } from "node:http";
import { invalid, numberIn } from "../model/fields.js";
import { type HealthCheck, probePath } from "../model/health-check.js";
import { knownKeys } from "../runtime/options.js";
import type { AgentState } from "./agent-events.js";

/** Below the readiness path: whether the process is alive, whatever it wants to be given. */
const LIVE = "/live";

/** How an agent's health is shown, and how often the registry should look. All durations in milliseconds. */
export interface HealthOptions {
  /**
   * Where it is served: readiness here, liveness at `…/live`.
   *
   * @default "/health"
   */
  readonly path?: string;
  /** Time between two probes of the registry. @default 10_000 */
  readonly intervalMs?: number;
  /** A probe of the registry is answered within this, or has failed. @default 2_000 */
  readonly timeoutMs?: number;
  /** Failures in a row after which the registry lists us no more. @default 3 */
  readonly failures?: number;
}

/** Answers a request about the agent's health, for whoever mounts it in an app of their own. */
export type HealthHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** What an answer about health rests on. */
export interface Condition {
  /** Whether `readyWhen` has passed. */
  readonly isReady: boolean;
  /** Whether calls should go elsewhere. */
  readonly isDraining: boolean;
  readonly state: AgentState;
  readonly instance: string | undefined;
}

/** Checks what the user asked for. @throws {DiscoveryError} `INVALID_OPTION` */
export function healthCheckOf(path: string, given: boolean | HealthOptions | undefined): HealthCheck | undefined {
  if (given === undefined || given === false) return undefined;
  const options: HealthOptions = given === true ? {} : given;
  knownKeys(path, options, ["path", "intervalMs", "timeoutMs", "failures"]);
  const { path: at = "/health", intervalMs = 10_000, timeoutMs = 2_000, failures = 3 } = options;
  probePath(`${path}.path`, at);
  if (at === "/" || at.includes("?")) throw invalid(`${path}.path`, at, 'a path such as "/health"');
  probePath(`${path}.path`, `${at}${LIVE}`); // what the registry will be asked to probe
  const everyMs = numberIn(`${path}.intervalMs`, intervalMs, 1_000, 3_600_000);
  return {
    path: at,
    intervalMs: everyMs,
    timeoutMs: numberIn(`${path}.timeoutMs`, timeoutMs, 100, Math.min(everyMs, 10_000)),
    failures: numberIn(`${path}.failures`, failures, 1, 100, true),
  };
}

/**
 * The check for a registry whose probes we answer ourselves. It asks whether we live, not whether we are ready: an
 * instance that drains has said so already, stays the last resort of its service, and must not be unlisted as failed.
 */
export function livenessCheck(check: HealthCheck): HealthCheck {
  return { ...check, path: check.path + LIVE };
}

/** Whether a request is about health. Others may use the same path with other methods. */
export function isHealthRequest(request: IncomingMessage, { path }: HealthCheck): boolean {
  if (request.method !== "GET" && request.method !== "HEAD") return false;
  const asked = pathOf(request);
  return asked === path || asked === path + LIVE;
}

/**
 * 200 while calls are welcome, 503 while starting or draining; at `…/live` always 200. A registry that is away makes us
 * `degraded`, not unready: whoever knows us may go on calling.
 */
export function healthHandler(condition: () => Condition): HealthHandler {
  return (request, response) => {
    const now = condition();
    const status = healthOf(now);
    const isWelcome = status === "ok" || status === "degraded";
    const body = JSON.stringify({ status, registration: now.state, instance: now.instance });
    response.writeHead(isWelcome || pathOf(request).endsWith(LIVE) ? 200 : 503, {
      "content-type": "application/json",
      "cache-control": "no-store",
    });
    response.end(body);
  };
}

function healthOf({ isReady, isDraining, state }: Condition): "ok" | "degraded" | "starting" | "draining" {
  if (isDraining) return "draining";
  if (!isReady) return "starting";
  return state === "registered" ? "ok" : "degraded";
}

function pathOf({ url = "/" }: IncomingMessage): string {
  const query = url.indexOf("?");
  return query < 0 ? url : url.slice(0, query);
}
