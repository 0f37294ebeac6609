/** A target counts for so long after its last probe was called off, in milliseconds: else one could go round all ports. */
const LINGER_MS = 5 * 60_000;
/** Registrants remembered before those who hold nothing any more are forgotten. */
const MANY = 1_024;

/** How many registrations of one registrant name a target, or when it stops to count. */
interface Use {
  users: number;
  until: number;
}

/** How many distinct targets each registrant may have probed: nobody should scan a network through the registry. */
export class ProbeQuota {
  readonly #most: number;
  readonly #registrants = new Map<string, Map<string, Use>>();
  #forgetAt = MANY;

  constructor(most: number) {
    this.#most = most;
  }

  /** Counts a target of that registrant; false if it has too many already. */
  take(registrant: string, address: string, now: number): boolean {
    const uses = this.#registrants.get(registrant) ?? new Map<string, Use>();
    const use = uses.get(address);
    if (use) use.users++;
    else {
      if (uses.size >= this.#most) forgetPast(uses, now);
      if (uses.size >= this.#most) return false;
      uses.set(address, { users: 1, until: 0 });
    }
    this.#registrants.set(registrant, uses);
    if (this.#registrants.size >= this.#forgetAt) this.#forgetIdle(now);
    return true;
  }

  /** Ends what `take` began. */
  release(registrant: string, address: string, now: number): void {
    const use = this.#registrants.get(registrant)?.get(address);
    if (!use) return;
    use.users--;
    use.until = now + LINGER_MS;
  }

  #forgetIdle(now: number): void {
    for (const [registrant, uses] of this.#registrants) {
      forgetPast(uses, now);
      if (uses.size === 0) this.#registrants.delete(registrant);
    }
    this.#forgetAt = Math.max(MANY, this.#registrants.size * 2); // so that each is looked at once, on average
  }
}

function forgetPast(uses: Map<string, Use>, now: number): void {
  for (const [address, { users, until }] of uses) if (users === 0 && until <= now) uses.delete(address);
}
