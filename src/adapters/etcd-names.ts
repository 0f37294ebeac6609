import type { Clock } from "../runtime/clock.js";

/** A name that was written is taken for written this long, in milliseconds: who deletes one by hand waits no longer. */
const NAMED_MS = 10_000;

/** So many names are remembered at most. */
const MAX_NAMED = 10_000;

/** Names of services that stand in the store: one that was just written is not written with every registration. */
export class EtcdNames {
  readonly #clock: Clock;
  /** When they were written to the store of `#epoch`. */
  readonly #written = new Map<string, number>();
  #epoch: string | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What stands at the epoch's key of the store that was written to; with another there, no name is known. */
  get epoch(): string | undefined {
    return this.#epoch;
  }

  /** Those of the names that have to be written. */
  missing(names: readonly string[]): readonly string[] {
    const now = this.#clock.now();
    return names.filter((name) => now - (this.#written.get(name) ?? Number.NEGATIVE_INFINITY) >= NAMED_MS);
  }

  wrote(names: readonly string[], epoch: string | undefined): void {
    if (epoch !== this.#epoch || this.#written.size > MAX_NAMED) this.#written.clear(); // another store, or very many
    this.#epoch = epoch;
    if (epoch !== undefined) for (const name of names) this.#written.set(name, this.#clock.now());
  }

  forget(): void {
    this.#written.clear();
  }
}
