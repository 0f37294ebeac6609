import { invalid, numberIn } from "../model/fields.js";
import { HEALTH_DEFAULTS, type HealthCheck, probePath } from "../model/health-check.js";

/** In seconds. An answer is due before the next question, and no socket of the registry is held longer than this. */
const INTERVAL_S = { min: 1, max: 3_600 } as const;
const TIMEOUT_S = { min: 0.1, max: 10 } as const;
const MAX_FAILURES = 100;

/** A wish to be probed, as it stands on the wire: durations in seconds. */
export interface WireHealthCheck {
  readonly path: string;
  readonly interval: number;
  readonly timeout: number;
  readonly failures: number;
}

export function healthToWire({ path, intervalMs, timeoutMs, failures }: HealthCheck): WireHealthCheck {
  return { path, interval: intervalMs / 1_000, timeout: timeoutMs / 1_000, failures };
}

/**
 * Reads a wish to be probed and fills in what it leaves open; `undefined` where none is meant.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`, naming the field
 */
export function healthFromWire(field: string, value: unknown): HealthCheck | undefined {
  if (value === undefined || value === null || value === false) return undefined;
  if (typeof value !== "object" || Array.isArray(value)) throw invalid(field, value, "false or an object");
  const given = value as Readonly<Record<string, unknown>>;
  const { path, intervalMs, timeoutMs, failures } = HEALTH_DEFAULTS;
  const interval = numberIn(
    `${field}.interval`,
    given["interval"] ?? intervalMs / 1_000,
    INTERVAL_S.min,
    INTERVAL_S.max,
  );
  const most = Math.min(TIMEOUT_S.max, interval);
  const timeout = numberIn(
    `${field}.timeout`,
    given["timeout"] ?? Math.min(timeoutMs / 1_000, most),
    TIMEOUT_S.min,
    most,
  );
  return {
    path: probePath(`${field}.path`, given["path"] ?? path),
    intervalMs: interval * 1_000,
    timeoutMs: timeout * 1_000,
    failures: numberIn(`${field}.failures`, given["failures"] ?? failures, 1, MAX_FAILURES, true),
  };
}
