import type { Endpoint } from "../endpoint/endpoint.js";
import type { Xorshift32 } from "../runtime/random.js";

/**
 * Whoever's turn is due first, for weights without a short common round: exact for any weights, at the cost of log n.
 *
 * Each turn puts an endpoint's next one 1 / weight later. The first ones are drawn at random, else every client would
 * begin with the heaviest.
 */
export class EarliestTurn {
  readonly #endpoints: readonly Endpoint[];
  readonly #due: Float64Array;
  readonly #stride: Float64Array;
  readonly #heap: Uint32Array;

  constructor(members: readonly Endpoint[], random: Xorshift32) {
    this.#endpoints = members;
    this.#stride = Float64Array.from(this.#endpoints, ({ weight }) => 1 / weight);
    this.#due = this.#stride.map((stride) => stride * random.fraction());
    this.#heap = Uint32Array.from(this.#endpoints, (_, index) => index);
    for (let parent = this.#heap.length >> 1; parent >= 0; parent--) this.#sink(parent);
  }

  next(): Endpoint | undefined {
    const first = this.#heap[0];
    if (first === undefined) return undefined;
    this.#due[first] = (this.#due[first] as number) + (this.#stride[first] as number);
    this.#sink(0);
    return this.#endpoints[first];
  }

  #sink(parent: number): void {
    const heap = this.#heap;
    const due = this.#due;
    const moved = heap[parent];
    if (moved === undefined) return;
    const key = due[moved] as number;
    for (let child = 2 * parent + 1; child < heap.length; child = 2 * parent + 1) {
      const right = heap[child + 1];
      if (right !== undefined && (due[right] as number) < (due[heap[child] as number] as number)) child++;
      const least = heap[child] as number;
      if (key <= (due[least] as number)) break;
      heap[parent] = least;
      parent = child;
    }
    heap[parent] = moved;
  }
}
