/** Marsaglia's 32-bit xorshift: a third of the cost of `Math.random`, and repeatable from its seed. */
export class Xorshift32 {
  #state: number;

  constructor(seed: number) {
    this.#state = mix32(seed) || 0x9e3779b9; // zero is the one state it never leaves
  }

  /** The next 32 bits, as a signed integer. */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x;
  }

  /** A whole number from 0 to `bound` − 1, of at most 32 bits. */
  below(bound: number): number {
    return (this.fraction() * bound) >>> 0; // as Math.floor, and faster
  }

  /** A number from 0 (included) to 1 (excluded). */
  fraction(): number {
    return (this.next() >>> 0) / 0x1_0000_0000;
  }
}

/** The finaliser of MurmurHash3: close seeds give unrelated states. */
export function mix32(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
