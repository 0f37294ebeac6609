import type { ServiceInstance } from "../model/instance.js";
import type { Clock } from "../runtime/clock.js";
import { haltSignal, within } from "../runtime/deadline.js";
import type { HeldInstance } from "./held-instance.js";

/** Probes under way at one time, as in the server's own prober. */
const IN_FLIGHT = 64;
/** Longer than that, in milliseconds, no answer is waited for: two and a half times a usual probe's time. */
const ANSWER_MS = 5_000;

/** What a probe finds out. `refused`: nobody listens there. */
export type SuspectVerdict = "alive" | "refused" | "unknown";

/** Asks an instance whether it is alive. The signal ends the asking. */
export type SuspectProbe = (instance: ServiceInstance, signal: AbortSignal) => Promise<SuspectVerdict>;

interface Question {
  readonly held: HeldInstance;
  readonly answer: (verdict: SuspectVerdict) => void;
}

/** Asks suspects, never more than 64 at a time and none twice at once. */
export class SuspectProbes {
  readonly #probe: SuspectProbe;
  readonly #clock: Clock;
  readonly #halt = haltSignal();
  readonly #asked = new Set<HeldInstance>();
  readonly #queue: Question[] = [];
  #inFlight = 0;

  constructor(probe: SuspectProbe, clock: Clock) {
    this.#probe = probe;
    this.#clock = clock;
  }

  ask(held: HeldInstance, answer: (verdict: SuspectVerdict) => void): void {
    if (this.#asked.has(held)) return;
    this.#asked.add(held);
    this.#queue.push({ held, answer });
    if (this.#inFlight < IN_FLIGHT) void this.#work();
  }

  close(): void {
    this.#halt.abort();
    this.#queue.length = 0;
  }

  async #work(): Promise<void> {
    this.#inFlight++;
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
      const verdict = await this.#verdictOn(next.held);
      this.#asked.delete(next.held);
      if (!this.#halt.signal.aborted) next.answer(verdict);
    }
    this.#inFlight--;
  }

  async #verdictOn({ instance }: HeldInstance): Promise<SuspectVerdict> {
    const scope = { clock: this.#clock, signal: this.#halt.signal };
    try {
      return await within(`probe of ${instance.id}`, ANSWER_MS, scope, async (signal) => this.#probe(instance, signal));
    } catch {
      return "unknown"; // a probe that fails says nothing about the instance
    }
  }
}
