import { invalid } from "./fields.js";

/** How a registry is asked to look after an instance by itself, over HTTP. */
export interface HealthCheck {
  /** @default "/health" */
  readonly path: string;
  /** Time between two probes, in milliseconds. @default 10_000 */
  readonly intervalMs: number;
  /** A probe is answered within this, in milliseconds, or has failed. @default 2_000 */
  readonly timeoutMs: number;
  /** Failures in a row after which the instance is no longer listed. It keeps its lease. @default 3 */
  readonly failures: number;
}

/** What holds where nothing is said: a dead instance is found within 30 s (the default ttl). */
export const HEALTH_DEFAULTS = { path: "/health", intervalMs: 10_000, timeoutMs: 2_000, failures: 3 } as const;

/** One slash, then what a request line and a URL both take as it is: no space, no `#`, no backslash, no line end. */
const PATH = /^\/(?!\/)[!"$-[\]-~]{0,255}$/;

/** A path that can stand in a request line and means nothing else. @throws {DiscoveryError} `INVALID_OPTION` */
export function probePath(field: string, value: unknown): string {
  if (typeof value === "string" && PATH.test(value)) return value;
  throw invalid(field, value, "a path: one / and at most 255 printable ASCII characters, without space, # and \\");
}
