/**
 * From this share of a ttl on, an outage may have ended the lease: who beats three times a ttl has missed one beat by
 * then, or two, and may still pause before the next.
 */
const LAPSE_SHARE = 0.5;

/** A time in which the registry could not be heard. */
interface Outage {
  readonly awayMs: number;
  readonly backAt: number;
  /** How many could be called when it was over. */
  readonly before: number;
}

/**
 * Whether the registry is within our reach, and whether it lately was not: it then went on, perhaps, where nobody could
 * reach it, and leases ran out though their holders lived. All moments are monotonic.
 *
 * An outage lasts from the last answer before a failure to the first one after it. Silence without a failure is none:
 * neither that of a watch with nothing to tell, nor a standstill of our own.
 */
export class Reach {
  #heardAt = Number.POSITIVE_INFINITY;
  #isAway = false;
  /** Something was missed since all was heard. */
  #hasMissed = false;
  /** Those that still matter, each shorter than the one before. */
  #outages: readonly Outage[] = [];

  /** True from a failure to the next answer. */
  get isAway(): boolean {
    return this.#isAway;
  }

  /** Somebody begins to ask: whatever was missed before was missed by nobody. */
  begin(now: number): void {
    this.#heardAt = now;
    this.#isAway = false;
    this.#hasMissed = false;
  }

  missed(): void {
    this.#isAway = true;
    this.#hasMissed = true;
  }

  /**
   * The registry has answered; `partial` if it is several of which one is away: that one's outage goes on. `called` says how
   * many can be called by what was told until now.
   */
  heard(now: number, called: () => number, partial = false): void {
    this.#isAway = false;
    if (partial) {
      this.#hasMissed = true;
      return;
    }
    if (this.#hasMissed) this.#back({ awayMs: now - this.#heardAt, backAt: now, before: called() });
    this.#heardAt = now;
    this.#hasMissed = false;
  }

  /**
   * How many could be called before an outage in which a lease of that ttl may have ended because nobody could renew it:
   * for one ttl after it. Undefined if there was none.
   */
  calledBefore(ttlMs: number, now: number): number | undefined {
    const ending = this.#outages.filter(({ awayMs, backAt }) => awayMs >= ttlMs * LAPSE_SHARE && now - backAt < ttlMs);
    return ending.length === 0 ? undefined : Math.max(...ending.map(({ before }) => before));
  }

  /** A short outage does not put an end to what has to be said of a long one before it. */
  #back(outage: Outage): void {
    const matters = ({ awayMs, backAt }: Outage): boolean => {
      return awayMs > outage.awayMs && outage.backAt - backAt < awayMs / LAPSE_SHARE; // the longest ttl it can have ended
    };
    this.#outages = [...this.#outages.filter(matters), outage];
  }
}
