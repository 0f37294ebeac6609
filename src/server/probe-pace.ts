/** Least time between two probes of one address, in milliseconds, however many registrations name it. */
const PAUSE_MS = 1_000;
/** Addresses remembered before those whose pause is over are forgotten. */
const MANY = 1_024;

interface Turn {
  /** When the next free turn is. */
  freeAt: number;
  lastAt: number;
}

/** Keeps probes of one address apart: registrations that share an address take turns. */
export class ProbePace {
  readonly #turns = new Map<string, Turn>();
  #forgetAt = MANY;

  /** How many addresses are remembered. */
  get size(): number {
    return this.#turns.size;
  }

  /** Reserves the next turn; how long to wait for it, in milliseconds. */
  reserve(address: string, now: number): number {
    const turn = this.#turns.get(address) ?? this.#begin(address, now);
    const at = Math.max(now, turn.freeAt);
    turn.freeAt = at + PAUSE_MS;
    return at - now;
  }

  /** Takes the turn that was reserved, and 0; or how long to wait still, because the one before was taken late. */
  take(address: string, now: number): number {
    const turn = this.#turns.get(address) ?? this.#begin(address, now);
    if (now < turn.lastAt + PAUSE_MS) return Math.ceil(turn.lastAt + PAUSE_MS - now); // never a wait too short to be one
    turn.lastAt = now;
    turn.freeAt = Math.max(turn.freeAt, now + PAUSE_MS);
    return 0;
  }

  #begin(address: string, now: number): Turn {
    if (this.#turns.size >= this.#forgetAt) {
      for (const [each, { freeAt }] of this.#turns) if (freeAt <= now) this.#turns.delete(each);
      this.#forgetAt = Math.max(MANY, this.#turns.size * 2); // so that each is looked at once, on average
    }
    const turn = { freeAt: 0, lastAt: Number.NEGATIVE_INFINITY };
    this.#turns.set(address, turn);
    return turn;
  }
}
