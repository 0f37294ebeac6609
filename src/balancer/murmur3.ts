import { DiscoveryError } from "../model/errors.js";
import { mix32 } from "../runtime/random.js";
import type { HashKey } from "./request-key.js";

const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;

/**
 * MurmurHash3_x86_32 of a string as UTF-16LE, two code units a round: bit for bit what the published algorithm gives for
 * those bytes, so that other languages can agree, and faster here than a loop over UTF-8.
 *
 * @returns 32 bits as a signed integer: an unsigned one may have to be allocated
 *
 * @see https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp
 */
export function murmur3(text: string, seed = 0): number {
  const { length } = text;
  const pairs = length & ~1;
  let hash = seed;
  for (let at = 0; at < pairs; at += 2) hash = round(hash, text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16));
  if (pairs < length) hash ^= scrambled(text.charCodeAt(pairs));
  return mix32(hash ^ (length << 1));
}

/** MurmurHash3_x86_32 of bytes, as a signed integer. */
export function murmur3Bytes(bytes: Uint8Array, seed = 0): number {
  const { length } = bytes;
  const whole = length & ~3;
  let hash = seed;
  for (let at = 0; at < whole; at += 4)
    hash = round(hash, bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
  let tail = 0;
  for (let at = length - 1; at >= whole; at--) tail = (tail << 8) | bytes[at]!;
  if (whole < length) hash ^= scrambled(tail);
  return mix32(hash ^ length);
}

/**
 * The hash of a call's key; text is hashed as UTF-16LE, numbers as their decimal digits.
 *
 * @throws {DiscoveryError} `INVALID_OPTION` for any other type
 */
export function hashOf(key: HashKey): number {
  if (typeof key === "string") return murmur3(key);
  if (typeof key === "number" || typeof key === "bigint") return murmur3(String(key));
  if (key instanceof Uint8Array) return murmur3Bytes(key);
  throw new DiscoveryError("INVALID_OPTION", `key must be a string, a number, a bigint or bytes, got ${typeof key}`, {
    field: "key",
  });
}

function round(hash: number, block: number): number {
  const mixed = hash ^ scrambled(block);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

function scrambled(block: number): number {
  const k = Math.imul(block, C1);
  return Math.imul((k << 15) | (k >>> 17), C2);
}
