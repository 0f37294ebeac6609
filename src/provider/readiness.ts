import { DiscoveryError } from "../model/errors.js";
import type { Scope } from "../runtime/clock.js";
import { within } from "../runtime/deadline.js";
import { type FailedTry, patiently } from "./patience.js";

/** One check is answered within this, in milliseconds, or counts as failed: a check that hangs must not hide us for ever. */
const CHECK_TIMEOUT_MS = 30_000;
/** Soon again at first; never longer than a few seconds, since nobody is called before it passed. */
const PAUSES = { firstMs: 500, factor: 1.6, capMs: 5_000 } as const;

/** What says whether this process may be called. It passes by returning, or resolving to, anything but `false`. */
export type ReadyCheck = (options: { readonly signal: AbortSignal }) => unknown;

/** Resolves when the check has passed once. What it throws is told, and it is asked again. */
export async function untilReady(check: ReadyCheck, scope: Scope, failed: (failure: FailedTry) => void): Promise<void> {
  const ask = async (signal: AbortSignal): Promise<void> => {
    if ((await check({ signal })) === false) throw new DiscoveryError("UNAVAILABLE", "readyWhen says: not yet");
  };
  await patiently(scope, PAUSES, () => within("readyWhen", CHECK_TIMEOUT_MS, scope, ask), failed);
}
