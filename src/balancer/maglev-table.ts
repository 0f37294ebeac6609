import type { Endpoint } from "../endpoint/endpoint.js";
import { murmur3 } from "./murmur3.js";

/** A prime, as the paper's smaller table; enough for 655 instances. */
const MIN_SIZE = 65_537;
/** A prime; larger tables no longer fit a processor's cache. */
const MAX_SIZE = 1_000_003;
/** So many places per instance keep shares within 1 % (the paper, section 5.3). */
const PER_MEMBER = 100;
const SECOND_SEED = 0x5bd1e995;

/**
 * Which member holds each place of the table: members take turns, each taking the first free place of an order of its
 * own, until none is left.
 *
 * @param members in the order of their ids, each with weight
 */
export function maglevTable(members: readonly Endpoint[]): Uint32Array {
  const size = sizeFor(members.length);
  const table = new Uint32Array(size).fill(FREE);
  if (members.length === 0) return table;
  const names = members.map(({ instance }) => instance.metadata["hash_key"] ?? instance.id);
  const place = Uint32Array.from(names, (name) => (murmur3(name) >>> 0) % size);
  const skip = Uint32Array.from(names, (name) => ((murmur3(name, SECOND_SEED) >>> 0) % (size - 1)) + 1);
  const weights = Float64Array.from(members, ({ instance: { weight } }) => (weight > 0 ? weight : 1));
  const heaviest = weights.reduce((most, weight) => Math.max(most, weight));
  const credit = new Float64Array(members.length);
  for (let left = size; left > 0; ) {
    for (let member = 0; member < members.length && left > 0; member++) {
      credit[member]! += weights[member]!;
      if (credit[member]! < heaviest) continue;
      credit[member]! -= heaviest;
      takeNext(table, member, place, skip);
      left--;
    }
  }
  return table;
}

const FREE = 0xffff_ffff;

function takeNext(table: Uint32Array, member: number, place: Uint32Array, skip: Uint32Array): void {
  const step = skip[member]!;
  let at = place[member]!;
  while (table[at] !== FREE) at = at + step < table.length ? at + step : at + step - table.length;
  table[at] = member;
  place[member] = at;
}

/** A prime, so that every step leads through all places. */
function sizeFor(members: number): number {
  let size = Math.min(MAX_SIZE, Math.max(MIN_SIZE, PER_MEMBER * members));
  while (!isPrime(size)) size++;
  return size;
}

function isPrime(value: number): boolean {
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false;
  return true;
}
