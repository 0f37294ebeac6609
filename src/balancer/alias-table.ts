import type { Xorshift32 } from "../runtime/random.js";

/**
 * Draws an index in proportion to weights, in constant time whatever their number.
 *
 * Every index has one slot of equal size; what a light one leaves free of its slot is lent to one heavy one, its alias.
 *
 * @see Walker, 1974; Vose, "A Linear Algorithm for Generating Random Numbers with a Given Distribution", 1991
 */
export class AliasTable {
  #count = 0;
  #kept = new Float64Array(0);
  #alias = new Uint32Array(0);
  #open = new Uint32Array(0);

  /** Prepares for these weights; at least one of them must be above 0. Allocates only when it grows. */
  rebuild(weights: Float64Array, count: number): void {
    if (count > this.#kept.length) {
      this.#kept = new Float64Array(count);
      this.#alias = new Uint32Array(count);
      this.#open = new Uint32Array(count);
    }
    this.#count = count;
    let total = 0;
    for (let index = 0; index < count; index++) total += weights[index]!;
    const kept = this.#kept;
    const open = this.#open; // the light from the left, the heavy from the right
    let light = 0;
    let heavy = count;
    for (let index = 0; index < count; index++) {
      const share = (weights[index]! * count) / total;
      kept[index] = share;
      this.#alias[index] = index;
      if (share < 1) open[light++] = index;
      else open[--heavy] = index;
    }
    this.#lend(light, heavy);
  }

  draw(random: Xorshift32): number {
    const place = random.fraction() * this.#count;
    const index = Math.floor(place);
    return place - index < this.#kept[index]! ? index : this.#alias[index]!;
  }

  #lend(light: number, heavy: number): void {
    const kept = this.#kept;
    const open = this.#open;
    const count = this.#count;
    while (light > 0 && heavy < count) {
      const borrower = open[--light]!;
      const lender = open[heavy]!;
      this.#alias[borrower] = lender;
      const left = kept[lender]! - (1 - kept[borrower]!);
      kept[lender] = left;
      if (left >= 1) continue;
      heavy++;
      open[light++] = lender; // it has become light itself; its place on the left is free
    }
    while (light > 0) kept[open[--light]!] = 1; // what rounding left over
    while (heavy < count) kept[open[heavy++]!] = 1;
  }
}
