import type { PickContext } from "../balancer/balancer.js";
import type { EjectionCause, EjectionOptions } from "../endpoint/ejection.js";
import type { Endpoint, Outcome } from "../endpoint/endpoint.js";
import type { Cancel, Clock, Random } from "../runtime/clock.js";

/** A trial whose caller never reports is given to the next one after this, in milliseconds: a call's default limit. */
const TRIAL_MS = 30_000;
/** At most this share of a service is ejected softly; the refused do not count (C-7 of the guarantees). */
const MAX_EJECTED_SHARE = 0.5;

/** What those who judge need to know of the rotation, and whom they tell. */
export interface OutlierOptions {
  readonly ejection: EjectionOptions;
  readonly clock: Clock;
  readonly random: Random;
  /** Every endpoint of the service. */
  readonly all: () => readonly Endpoint[];
  /** Whether it could be called, were it not ejected. */
  readonly mayTry: (endpoint: Endpoint) => boolean;
  /** Whether ejections are ignored now. */
  readonly panic: () => boolean;
  /** Somebody has gone out: work out anew who is usable, then tell. */
  readonly ejected: (endpoint: Endpoint, cause: EjectionCause, pauseMs: number) => void;
  readonly readmitted: (endpoint: Endpoint) => void;
  /** There is, or is no longer, somebody to be tried. */
  readonly trials: () => void;
}

/** Takes endpoints out of rotation for a while, and back in after one trial that succeeds. */
export class Outliers {
  readonly #options: OutlierOptions;
  readonly #pauses = new Map<Endpoint, Cancel>();
  readonly #trials: Endpoint[] = [];

  constructor(options: OutlierOptions) {
    this.#options = options;
  }

  /** Whether somebody waits for a trial. */
  get onTrial(): boolean {
    return this.#trials.length > 0;
  }

  /** Takes in how a call ended. */
  judge(endpoint: Endpoint, outcome: Outcome): void {
    const { ejection } = endpoint;
    if (outcome === "success") {
      if (!ejection.succeeded(this.#options.panic())) return;
      this.forget(endpoint);
      this.#options.readmitted(endpoint);
    } else if (outcome === "cancelled") {
      if (ejection.onTrial) this.#askForTrial(endpoint); // the trial said nothing: the next call is one
    } else {
      const cause = ejection.failed(outcome === "refused", this.#options.ejection, this.#options.clock.now());
      if (cause) this.#eject(endpoint, cause);
      ejection.askedMs = 0;
    }
  }

  /** Whose trial the next call is; undefined if it has been there already. */
  nextTrial(context: PickContext | undefined): Endpoint | undefined {
    const { mayTry } = this.#options;
    const index = this.#trials.findIndex((one) => mayTry(one) && !context?.tried?.includes(one));
    const endpoint = this.#trials[index];
    if (endpoint === undefined) return undefined;
    this.#trials.splice(index, 1);
    endpoint.ejection.onTrial = true;
    this.#after(endpoint, TRIAL_MS);
    this.#options.trials();
    return endpoint;
  }

  /** Its pause is over, or it has left. */
  forget(endpoint: Endpoint): void {
    this.#pauses.get(endpoint)?.();
    this.#pauses.delete(endpoint);
    const index = this.#trials.indexOf(endpoint);
    if (index < 0) return;
    this.#trials.splice(index, 1);
    this.#options.trials();
  }

  /** Lets go of every timer. */
  close(): void {
    for (const cancel of this.#pauses.values()) cancel();
    this.#pauses.clear();
    this.#trials.length = 0;
  }

  #eject(endpoint: Endpoint, cause: EjectionCause): void {
    const { ejection } = endpoint;
    const again = ejection.cause !== undefined;
    if (cause !== "refused" && !again && !this.#mayEject()) return;
    const pauseMs = ejection.eject(cause, this.#options.ejection, this.#options.random);
    this.#after(endpoint, pauseMs);
    if (!again) this.#options.ejected(endpoint, cause, pauseMs);
  }

  /** Never more than half of the service, never the last. */
  #mayEject(): boolean {
    const all = this.#options.all();
    let softly = 0;
    let left = 0;
    for (const { ejection } of all) {
      if (ejection.cause === undefined) left++;
      else if (ejection.cause !== "refused") softly++;
    }
    return left > 1 && softly + 1 <= all.length * MAX_EJECTED_SHARE;
  }

  #after(endpoint: Endpoint, pauseMs: number): void {
    const { clock } = this.#options;
    this.#pauses.get(endpoint)?.();
    endpoint.ejection.until = clock.now() + pauseMs;
    this.#pauses.set(
      endpoint,
      clock.schedule(pauseMs, () => this.#askForTrial(endpoint)),
    );
  }

  #askForTrial(endpoint: Endpoint): void {
    endpoint.ejection.onTrial = false;
    if (this.#trials.includes(endpoint)) return;
    this.#trials.push(endpoint);
    this.#options.trials();
  }
}
