import { type Difference, difference, type Snapshot } from "../model/update.js";
import { whileAwaited } from "../runtime/clock.js";

/** A snapshot, and what differs from the one seen before. */
export interface Change {
  readonly snapshot: Snapshot;
  readonly difference: Difference;
}

/** Where the snapshots come from. */
export interface ChangeSource {
  readonly snapshot: () => Snapshot;
  /** Calls whoever is in it after each answer of the registry that may differ. */
  readonly watchers: Set<() => void>;
  /** Takes up the watch again if it was let go. */
  readonly resume: () => void;
  /** Aborts when the service is closed. */
  readonly ended: AbortSignal;
}

/**
 * The latest snapshot of a service whenever it differs from the one seen last; the first as soon as the registry has
 * told. Whoever reads slowly gets one difference for all it missed: nothing is queued. Ends with the signal, without an
 * error, and when the service is closed.
 */
export async function* changesOf(
  { snapshot, watchers, resume, ended }: ChangeSource,
  signal: AbortSignal | undefined,
): AsyncGenerator<Change, void, void> {
  let wake = (): void => {};
  let seen: Snapshot | undefined;
  const told = (): void => wake();
  watchers.add(told);
  signal?.addEventListener("abort", told);
  ended.addEventListener("abort", told);
  try {
    while (!signal?.aborted && !ended.aborted) {
      const change = changeSince(seen, snapshot());
      if (change) {
        seen = change.snapshot;
        yield change;
        continue;
      }
      resume();
      await whileAwaited(
        new Promise<void>((resolve) => {
          wake = resolve;
        }),
      );
    }
  } finally {
    watchers.delete(told);
    signal?.removeEventListener("abort", told);
    ended.removeEventListener("abort", told);
  }
}

/** Undefined while there is nothing new to tell. */
function changeSince(seen: Snapshot | undefined, snapshot: Snapshot): Change | undefined {
  const differs = difference(seen?.instances ?? [], snapshot.instances);
  if (differs) return { snapshot, difference: differs };
  if (seen || snapshot.state === "unknown") return undefined;
  return { snapshot, difference: { added: [], updated: [], removed: [] } };
}
