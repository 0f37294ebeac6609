import { DiscoveryError, type ErrorCode } from "../model/errors.js";

const REFUSALS: ReadonlySet<ErrorCode> = new Set(["UNAUTHORIZED", "REJECTED", "PROTOCOL", "UNSUPPORTED"]);

/** Whether a failure is an answer: a token that may not, a name that is refused, something that is no registry at all. */
export function isRefusal(error: unknown): error is DiscoveryError {
  return DiscoveryError.is(error) && REFUSALS.has(error.code);
}
