/** Every way discovery can fail. `retryable`: may the same call succeed later, unchanged? */
const codes = {
  CLOSED: { retryable: false },
  INVALID_OPTION: { retryable: false },
  NOT_REGISTERED: { retryable: true },
  LEASE_LOST: { retryable: true },
  ID_CONFLICT: { retryable: false },
  SERVICE_UNKNOWN: { retryable: true },
  NO_INSTANCES: { retryable: true },
  NO_MATCH: { retryable: true },
  OVERLOADED: { retryable: true },
  PROTOCOL: { retryable: true },
  REJECTED: { retryable: false },
  UNAUTHORIZED: { retryable: false },
  TIMEOUT: { retryable: true },
  UNAVAILABLE: { retryable: true },
  UNSUPPORTED: { retryable: false },
  INSECURE_BIND: { retryable: false },
} as const satisfies Record<string, { retryable: boolean }>;

/** The closed list of codes a {@link DiscoveryError} can carry. */
export type ErrorCode = keyof typeof codes;

/** What an error can say beyond its message; every field is optional. */
export interface ErrorDetails {
  /** The error that led to this one. */
  readonly cause?: unknown;
  /** The service it is about. */
  readonly service?: string | undefined;
  /** The option or field that was wrong, as a path: `agent.ttlMs`. */
  readonly field?: string | undefined;
  /** How many instances stood at each stage of the selection, for `NO_INSTANCES` and `NO_MATCH`. */
  readonly counts?: Readonly<Record<string, number>> | undefined;
  /** How long the other side asked us to wait before trying again, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
}

/** The one error this package throws. Branch on `code`: messages may be reworded in any release. */
export class DiscoveryError extends Error {
  override readonly name = "DiscoveryError";
  readonly code: ErrorCode;
  readonly service: string | undefined;
  readonly field: string | undefined;
  readonly counts: Readonly<Record<string, number>> | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(`${message} (${code})`, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.service = details.service;
    this.field = details.field;
    this.counts = details.counts;
    this.retryAfterMs = details.retryAfterMs;
  }

  /** Whether the same call may succeed later, unchanged. */
  get retryable(): boolean {
    return codes[this.code].retryable;
  }

  /** Tells our errors apart, also those of a second installed copy, which `instanceof` would miss. */
  static is(error: unknown, code?: ErrorCode): error is DiscoveryError {
    if (!(error instanceof Error) || error.name !== "DiscoveryError" || !("code" in error)) return false;
    return code === undefined ? typeof error.code === "string" && error.code in codes : error.code === code;
  }
}

/** What an error says, for a message that names its own code. */
export function saidBy({ message }: Error): string {
  return message.replace(/ \([A-Z_]+\)$/, "");
}

/** For the `default` of a switch that must be complete: the compiler objects if it can be reached. */
export function unreachable(value: never): never {
  throw new DiscoveryError("PROTOCOL", `Unexpected ${JSON.stringify(value)}`);
}
