import type { Endpoint } from "../endpoint/endpoint.js";
import type { Xorshift32 } from "../runtime/random.js";
import { AliasTable } from "./alias-table.js";
import { even } from "./members.js";

/** Draws members in proportion to their weights; when all weigh the same, without a table. */
export class WeightedDraw {
  readonly #random: Xorshift32;
  readonly #table = new AliasTable();
  #count = 0;
  /** True when weights differ. */
  weighted = false;

  constructor(random: Xorshift32) {
    this.#random = random;
  }

  update(members: readonly Endpoint[]): void {
    this.#count = members.length;
    this.weighted = !even(members);
    if (this.weighted)
      this.#table.rebuild(
        Float64Array.from(members, ({ weight }) => weight),
        members.length,
      );
  }

  /** The index of the one drawn. */
  next(): number {
    return this.weighted ? this.#table.draw(this.#random) : this.#random.below(this.#count);
  }
}
