import { DiscoveryError, type ErrorCode, saidBy } from "../model/errors.js";
import type { HttpResponse } from "../runtime/http.js";

/** What a failure's message says, what that is to us, and what can be done. */
export type Explanation = readonly [said: RegExp, code: ErrorCode, advice: string];

/** Passes an answer on; to a failure that one of the explanations knows, it adds what can be done. */
export async function explained(
  asked: Promise<HttpResponse>,
  explanations: readonly Explanation[],
): Promise<HttpResponse> {
  try {
    return await asked;
  } catch (error) {
    const found = DiscoveryError.is(error) && explanations.find(([said]) => said.test(error.message));
    if (!found) throw error;
    const [, code, advice] = found;
    const { cause, retryAfterMs } = error;
    throw new DiscoveryError(code, `${saidBy(error)}; ${advice}`, { cause, retryAfterMs });
  }
}
