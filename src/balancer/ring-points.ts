import { mix32 } from "../runtime/random.js";
import { murmur3 } from "./murmur3.js";

const GOLDEN = 0x9e3779b9;
/** Any other seed gives an independent second hash of the same name. */
const SECOND_SEED = 0x5bd1e995;

/** Whose points are to be made, and how many. */
export interface PointOwner {
  /** What is hashed, the same in every process. */
  readonly name: string;
  readonly count: number;
  /** What stands for the owner in the ring. */
  readonly slot: number;
}

/** Whether slot `a` stands before slot `b` where their points coincide. */
export type Precedes = (a: number, b: number) => boolean;

/**
 * The points of some owners, sorted: at 2i the place on the ring, at 2i + 1 the slot.
 *
 * One pass distributes them over as many buckets as there are points, after which hardly any is out of place: hashes
 * are spread evenly, so that this takes linear time.
 */
export function sortedPoints(owners: readonly PointOwner[], precedes: Precedes): Uint32Array {
  const total = owners.reduce((sum, { count }) => sum + count, 0);
  const places = new Uint32Array(total);
  let at = 0;
  for (const { name, count } of owners) at = placesOf(name, count, places, at);
  const shift = bucketShift(total);
  const next = bucketStarts(places, 1, total, shift);
  const points = new Uint32Array(2 * total);
  at = 0;
  for (const { count, slot } of owners) {
    for (let left = count; left > 0; left--) {
      const place = places[at++]!;
      const index = next[place >>> shift]!++;
      points[2 * index] = place;
      points[2 * index + 1] = slot;
    }
  }
  settle(points, total, precedes);
  return points;
}

/** How far a place is shifted to give its bucket; about one bucket a point. */
export function bucketShift(total: number): number {
  return Math.min(31, Math.clz32(Math.max(total, 2) - 1));
}

/** For each bucket, how many places are in those before it. `places` are sorted or not, `stride` apart. */
export function bucketStarts(places: Uint32Array, stride: number, total: number, shift: number): Uint32Array {
  const starts = new Uint32Array(2 ** (32 - shift) + 1);
  for (let index = 0; index < total; index++) starts[(places[index * stride]! >>> shift) + 1]!++;
  for (let bucket = 1; bucket < starts.length; bucket++) starts[bucket]! += starts[bucket - 1]!;
  return starts;
}

/** Two hashes of the name, so that two owners whose first hashes are close do not walk round the ring together. */
function placesOf(name: string, count: number, places: Uint32Array, from: number): number {
  const first = murmur3(name);
  const second = murmur3(name, SECOND_SEED);
  for (let index = 0; index < count; index++)
    places[from + index] = mix32(mix32((first + Math.imul(index + 1, GOLDEN)) | 0) ^ second);
  return from + count;
}

/** Insertion sort of what is nearly sorted. */
function settle(points: Uint32Array, total: number, precedes: Precedes): void {
  for (let index = 1; index < total; index++) {
    const place = points[2 * index]!;
    const slot = points[2 * index + 1]!;
    let to = index;
    while (to > 0 && after(points[2 * to - 2]!, points[2 * to - 1]!, place, slot, precedes)) {
      points[2 * to] = points[2 * to - 2]!;
      points[2 * to + 1] = points[2 * to - 1]!;
      to--;
    }
    points[2 * to] = place;
    points[2 * to + 1] = slot;
  }
}

/** Whether a point comes after another one. */
export function after(place: number, slot: number, otherPlace: number, otherSlot: number, precedes: Precedes): boolean {
  return place > otherPlace || (place === otherPlace && precedes(otherSlot, slot));
}
