import { haltSignal } from "../runtime/deadline.js";

/** A registry that is preferred is returned to once it has answered for so long on end, in milliseconds: no blink is worth two moves. */
export const RETURN_AFTER_MS = 10_000;

/** Which of several registries, in the order of preference, is asked now. It stays with one while that works. */
export class Preference {
  readonly #wellSince: (number | undefined)[];
  #current = 0;
  #moved = haltSignal();

  constructor(count: number) {
    this.#wellSince = new Array(count).fill(undefined);
  }

  get current(): number {
    return this.#current;
  }

  /** Aborts when another one is current. */
  get moved(): AbortSignal {
    return this.#moved.signal;
  }

  /** It did not answer: if it is the current one, the next is, after the last the first again. */
  failed(index: number): void {
    this.#wellSince[index] = undefined;
    if (index === this.#current) this.#moveTo((index + 1) % this.#wellSince.length);
  }

  /** It answered. One that is preferred to the current one becomes current when it has done so for long enough. */
  answered(index: number, now: number): void {
    if (index >= this.#current) return;
    const since = this.#wellSince[index] ?? now;
    this.#wellSince[index] = since;
    if (now - since >= RETURN_AFTER_MS) this.#moveTo(index);
  }

  #moveTo(index: number): void {
    if (index === this.#current) return;
    this.#current = index;
    this.#wellSince.fill(undefined);
    const moved = this.#moved;
    this.#moved = haltSignal();
    moved.abort();
  }
}
