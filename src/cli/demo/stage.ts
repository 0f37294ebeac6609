import { systemClock } from "../../runtime/clock.js";
import { within } from "../../runtime/deadline.js";
import type { Cast, Provider } from "./cast.js";
import type { Relay } from "./relay.js";
import type { Story } from "./story.js";
import type { View } from "./view.js";
import type { Witness } from "./witness.js";

/** How long anything may take to be seen, in milliseconds: Eureka's caches are 30 s old, and polled every 10 s. */
const SEEN_WITHIN_MS = 60_000;
const LOOK_MS = 50;

/** The demo while it plays. */
export interface Stage {
  readonly cast: Cast;
  readonly view: View;
  readonly story: Story;
  readonly providers: Provider[];
  readonly witness: Witness;
  /** Set if the registry was there before the demo. */
  readonly outside: Outside | undefined;
  readonly signal: AbortSignal;
  /** Resolves when the consumer next sees everybody in a registry that began anew. */
  visible(): Promise<number>;
}

/** What the demo may do to a registry that it did not start. */
export interface Outside {
  /** What restarts it, by the shell. */
  readonly restart: string | undefined;
  /** What stands before it, where something can. */
  readonly relay: Relay | undefined;
}

/** Waits, within bounds, for what has to be seen. */
export function seen<T>(
  what: string,
  { signal }: Pick<Stage, "signal">,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return within(what, SEEN_WITHIN_MS, { clock: systemClock, signal }, task);
}

/** Resolves when it holds. */
export async function holding(condition: () => boolean, signal: AbortSignal): Promise<void> {
  while (!condition()) await systemClock.sleep(LOOK_MS, signal);
}
