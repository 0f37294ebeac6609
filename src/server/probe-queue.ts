/** Probes at one time: enough for 5,000 targets in 10 s if each takes 100 ms, and few enough sockets. */
const MAX_AT_ONCE = 64;
/** Of these for one registrant: whoever registers what never answers must not hold up everybody else. */
const SHARE = 32;

/** Who waits for a place and who has one, first come first served, as far as one registrant's share allows. */
export class ProbeQueue<T extends { readonly registrant: string }> {
  readonly #waiting = new Set<T>();
  /** Those whose registrant has its share already, by registrant. */
  readonly #held = new Map<string, Set<T>>();
  readonly #busy = new Map<string, number>();
  #running = 0;

  add(item: T): void {
    this.#waiting.add(item);
  }

  /** Whoever waited no longer does; whoever has a place keeps it until it is `done`. */
  delete(item: T): void {
    this.#waiting.delete(item);
    this.#held.get(item.registrant)?.delete(item);
  }

  /** The next that may begin, which has its place from now on; undefined while there is none. */
  take(): T | undefined {
    if (this.#running >= MAX_AT_ONCE) return undefined;
    for (const item of this.#waiting) {
      this.#waiting.delete(item);
      const busy = this.#busy.get(item.registrant) ?? 0;
      if (busy >= SHARE) {
        this.#hold(item);
        continue;
      }
      this.#busy.set(item.registrant, busy + 1);
      this.#running++;
      return item;
    }
    return undefined;
  }

  /** Gives a place back. */
  done({ registrant }: T): void {
    this.#running--;
    const busy = (this.#busy.get(registrant) ?? 1) - 1;
    if (busy > 0) this.#busy.set(registrant, busy);
    else this.#busy.delete(registrant);
    const held = this.#held.get(registrant);
    if (!held) return;
    for (const item of held) {
      held.delete(item);
      this.#waiting.add(item);
      break;
    }
    if (held.size === 0) this.#held.delete(registrant);
  }

  #hold(item: T): void {
    const held = this.#held.get(item.registrant);
    if (held) held.add(item);
    else this.#held.set(item.registrant, new Set([item]));
  }
}
