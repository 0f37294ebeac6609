import type { Endpoint } from "../endpoint/endpoint.js";

/** Notices that nobody has called a service for long. It counts calls when asked; the calls themselves pay nothing. */
export class Idleness {
  readonly #idleMs: number;
  #calls = -1;
  #usedAt = 0;

  constructor(idleMs: number) {
    this.#idleMs = idleMs;
  }

  /** Begins to count anew. */
  reset(): void {
    this.#calls = -1;
  }

  /** True if no call was begun for the whole time, as far as earlier questions can tell. */
  since(now: number, endpoints: readonly Endpoint[]): boolean {
    let calls = 0;
    for (const { load } of endpoints) calls += load.calls;
    if (calls === this.#calls) return now - this.#usedAt >= this.#idleMs;
    this.#calls = calls;
    this.#usedAt = now;
    return false;
  }
}
