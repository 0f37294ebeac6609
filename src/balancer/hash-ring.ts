import type { Endpoint } from "../endpoint/endpoint.js";
import { after, bucketShift, bucketStarts, type PointOwner, sortedPoints } from "./ring-points.js";

/** Points of an instance of weight 1: shares stay within 25 % of the mean at 100 instances. */
const POINTS = 160;
/** More points than this, in all, are halved until they are fewer: 16 MB. */
const MAX_POINTS = 2 ** 21;
/** If a larger part of the owners changes at once, everything is sorted anew. */
const MAX_CHANGED = 0.25;

/**
 * A ring of hashes on which each member holds a fixed number of places per unit of weight, so that a member's coming or
 * going moves only keys that are its own.
 *
 * Looking up takes constant time: an index of buckets leads to within a point or two of the place. Members come and go by
 * one pass over the points, without sorting.
 */
export class HashRing {
  /** Members by slot; a slot is kept as long as its member is. */
  readonly slots: (Endpoint | undefined)[] = [];
  #owners: (PointOwner | undefined)[] = [];
  readonly #slotOf = new Map<string, number>();
  readonly #free: number[] = [];
  #points = new Uint32Array(2);
  #starts: Uint32Array = new Uint32Array(3);
  #shift = 31;
  /** How many points there are. */
  size = 0;

  slotOf(endpoint: Endpoint): number | undefined {
    return this.#slotOf.get(endpoint.instance.id);
  }

  /** The slot whose point is number `index`, counted round the ring. */
  ownerAt(index: number): number {
    return this.#points[2 * index + 1]!;
  }

  /** The number of the first point at or after the hash; the ring must not be empty. */
  find(hash: number): number {
    const points = this.#points;
    const place = hash >>> 0;
    let index = this.#starts[place >>> this.#shift]!;
    while (points[2 * index]! < place) index++; // ends at the latest at the sentinel behind the last
    return index < this.size ? index : 0;
  }

  /** Brings the ring in line with its members; one of weight 0 counts as 1 here, as the caller left it in. */
  update(members: readonly Endpoint[]): void {
    const scale = scaleFor(members);
    const listed = new Set<string>();
    const stale = new Set<number>();
    const added: PointOwner[] = [];
    for (const endpoint of members) {
      const { id } = endpoint.instance;
      listed.add(id);
      const name = endpoint.instance.metadata["hash_key"] ?? id;
      const count = pointsOf(endpoint, scale);
      const known = this.#slotOf.get(id);
      const owner = known === undefined ? undefined : this.#owners[known];
      const slot = known ?? this.#free.pop() ?? this.slots.length;
      this.slots[slot] = endpoint;
      if (owner?.name === name && owner.count === count) continue;
      if (known !== undefined) stale.add(known);
      this.#slotOf.set(id, slot);
      this.#owners[slot] = { name, count, slot };
      added.push(this.#owners[slot]);
    }
    const gone = [...this.#slotOf].filter(([id]) => !listed.has(id));
    for (const [id, slot] of gone) {
      stale.add(slot);
      this.#slotOf.delete(id);
      this.#owners[slot] = undefined;
    }
    if (stale.size + added.length > 0) this.#change(stale, added, members.length);
    for (const [, slot] of gone) {
      this.slots[slot] = undefined;
      this.#free.push(slot);
    }
  }

  #change(stale: ReadonlySet<number>, added: readonly PointOwner[], members: number): void {
    const few = stale.size + added.length <= members * MAX_CHANGED;
    const fresh = few ? added : this.#owners.filter((owner) => owner !== undefined);
    const points = sortedPoints(fresh, this.#precedes);
    this.#take(few ? this.#merged(stale, points) : points);
  }

  /** The points of before without those of the stale, and the new ones among them; a spare one at the end. */
  #merged(stale: ReadonlySet<number>, added: Uint32Array): Uint32Array {
    const before = this.#points;
    const dropped = Uint8Array.from(this.slots, (_, slot) => (stale.has(slot) ? 1 : 0));
    const merged = new Uint32Array(2 * this.size + added.length);
    let to = 0;
    let next = 0;
    for (let index = 0; index < 2 * this.size; index += 2) {
      const place = before[index]!;
      const slot = before[index + 1]!;
      if (dropped[slot] === 1) continue;
      while (next < added.length && after(place, slot, added[next]!, added[next + 1]!, this.#precedes)) {
        merged[to++] = added[next++]!;
        merged[to++] = added[next++]!;
      }
      merged[to++] = place;
      merged[to++] = slot;
    }
    while (next < added.length) merged[to++] = added[next++]!;
    return merged.subarray(0, to);
  }

  #take(points: Uint32Array): void {
    this.size = points.length / 2;
    this.#points = new Uint32Array(points.length + 2);
    this.#points.set(points);
    this.#points[points.length] = 0xffff_ffff; // the sentinel: no hash is above it
    this.#shift = bucketShift(this.size);
    this.#starts = bucketStarts(this.#points, 2, this.size, this.#shift);
  }

  /** Where points coincide, the smaller id comes first: also where two instances share a `hash_key`. */
  readonly #precedes = (a: number, b: number): boolean =>
    (this.slots[a]?.instance.id ?? "") < (this.slots[b]?.instance.id ?? "");
}

function pointsOf({ instance: { weight } }: Endpoint, scale: number): number {
  return Math.max(1, Math.round((weight > 0 ? weight : 1) * POINTS * scale));
}

/** A power of two, so that points are halved and not moved. */
function scaleFor(members: readonly Endpoint[]): number {
  let total = 0;
  for (const { instance } of members) total += POINTS * (instance.weight > 0 ? instance.weight : 1);
  let scale = 1;
  while (total * scale > MAX_POINTS) scale /= 2;
  return scale;
}
