import { DiscoveryError } from "../model/errors.js";
import { invalid, numberIn } from "../model/fields.js";

/**
 * Refuses an option nobody knows, with the name that was probably meant: a misspelt option that is silently ignored is
 * found only in production.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function knownKeys(path: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw invalid(path, options, "an object");
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    const field = `${path}.${key}`;
    const near = nearest(key, known);
    const hint = near ? `did you mean ${near}?` : `known are ${known.join(", ")}`;
    throw new DiscoveryError("INVALID_OPTION", `${field} is no option: ${hint}`, { field });
  }
}

/** A duration in milliseconds, or its default. @throws {DiscoveryError} `INVALID_OPTION` */
export function durationMs(path: string, value: unknown, fallback: number, min: number, max: number): number {
  return value === undefined ? fallback : numberIn(path, value, min, max);
}

/** An optional function. @throws {DiscoveryError} `INVALID_OPTION` */
export function functionOr<T>(path: string, value: T | undefined, fallback: T): T {
  if (value === undefined) return fallback;
  if (typeof value !== "function") throw invalid(path, value, "a function");
  return value;
}

/** The word that was probably meant, if one is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + change));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
