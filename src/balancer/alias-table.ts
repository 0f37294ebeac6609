import type { Xorshift32 } from "../runtime/random.js";

/** What one draw of random bits is out of. */
const ALL_BITS = 2 ** 32;
/** A whole slot, in the unit of what is kept of it: the largest that whole numbers of 32 bits with a sign can count in. */
const SLOT = 2 ** 31;

/**
 * Draws an index in proportion to weights, in constant time whatever their number.
 *
 * Every index has one slot of equal size; what a light one leaves free of its slot is lent to one heavy one, its alias.
 *
 * @see Walker, 1974; Vose, "A Linear Algorithm for Generating Random Numbers with a Given Distribution", 1991
 */
export class AliasTable {
  #count = 0;
  /** From random bits to an index: a double from the start, as V8 then keeps it in place. */
  #scale = 0.5;
  /** By index, how much of its slot it keeps, and in which bits its alias differs from it; side by side, as both are read. */
  #slots = new Int32Array(0);
  #kept = new Float64Array(0);
  #open = new Uint32Array(0);

  /** Prepares for these weights; at least one of them must be above 0. Allocates only when it grows. */
  rebuild(weights: Float64Array, count: number): void {
    if (count > this.#kept.length) {
      this.#slots = new Int32Array(2 * count);
      this.#kept = new Float64Array(count);
      this.#open = new Uint32Array(count);
    }
    this.#count = count;
    this.#scale = count / ALL_BITS;
    let total = 0;
    for (let index = 0; index < count; index++) total += weights[index]!;
    const kept = this.#kept;
    const open = this.#open; // the light from the left, the heavy from the right
    let light = 0;
    let heavy = count;
    for (let index = 0; index < count; index++) {
      const share = (weights[index]! * count) / total;
      kept[index] = share;
      if (share < 1) open[light++] = index;
      else open[--heavy] = index;
    }
    this.#slots.fill(0, 0, 2 * count); // without an alias it does not matter what is kept
    this.#lend(light, heavy);
  }

  /** Without a branch that depends on what was drawn: of random ones a processor guesses every second wrong. */
  draw(random: Xorshift32): number {
    const bits = random.next();
    const slots = this.#slots;
    const index = ((bits >>> 0) * this.#scale) >>> 0;
    const at = index << 1;
    const within = Math.imul(bits, this.#count) >>> 1; // where in its slot: the lower half of the same product
    return index ^ (slots[at | 1]! & ~((within - slots[at]!) >> 31)); // `>> 31` has all bits set below 0, and none above
  }

  #lend(light: number, heavy: number): void {
    const kept = this.#kept;
    const open = this.#open;
    const count = this.#count;
    while (light > 0 && heavy < count) {
      const borrower = open[--light]!;
      const lender = open[heavy]!;
      this.#slots[2 * borrower] = kept[borrower]! * SLOT;
      this.#slots[2 * borrower + 1] = borrower ^ lender;
      const left = kept[lender]! - (1 - kept[borrower]!);
      kept[lender] = left;
      if (left >= 1) continue;
      heavy++;
      open[light++] = lender; // it has become light itself; its place on the left is free
    }
  }
}
