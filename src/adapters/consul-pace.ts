import { Recent } from "../registry/recent.js";
import { backoff, RECONNECT } from "../runtime/retry.js";

/** Two queries may begin at once; beyond, so long apart, in milliseconds: a storm of changes costs five reads a second. */
const STORM_GAP_MS = 200;
/** The same after an answer that told nothing new: two a second (consul-template's limiter, Consul's own advice). */
const SPURIOUS_GAP_MS = 500;
/** Services whose refusals are remembered. */
const REMEMBERED = 1_000;

/** A bucket of two tokens. */
export class Pace {
  #due = Number.NEGATIVE_INFINITY;

  /** How long to wait now, in milliseconds; `told` if the last answer said anything new. */
  pause(now: number, told: boolean): number {
    const gapMs = told ? STORM_GAP_MS : SPURIOUS_GAP_MS; // the time a token takes
    const due = Math.max(this.#due, now - gapMs);
    this.#due = due + gapMs;
    return Math.max(0, due - now);
  }
}

/**
 * Services whose queries Consul would not let wait: it grants one address so many connections, and still answers who
 * does not wait. They are asked about later each time, although each time the first question was answered.
 */
export class Refusals {
  readonly #services = new Recent<{ readonly count: number; readonly until: number }>(REMEMBERED);

  /** How long to wait now before a service is asked about, in milliseconds. */
  pause(service: string, now: number): number {
    return Math.max(0, (this.#services.get(service)?.until ?? now) - now);
  }

  /** A query was refused. */
  add(service: string, now: number): void {
    const count = (this.#services.get(service)?.count ?? 0) + 1;
    const pauseMs = backoff(RECONNECT, count, () => 1); // whoever watches draws lots already
    this.#services.set(service, { count, until: now + pauseMs });
  }

  /** A query was let wait. */
  end(service: string, now: number): void {
    if (this.#services.get(service)?.count) this.#services.set(service, { count: 0, until: now });
  }
}
