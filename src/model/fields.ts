import { isIPv4, isIPv6 } from "node:net";
import { DiscoveryError } from "./errors.js";

/** Metadata: at most 64 keys of 1 KiB each, 8 KiB in all (protocol limits, in UTF-16 units). */
export const METADATA_LIMITS = { keys: 64, valueLength: 1_024, totalLength: 8_192 } as const;

/** At most as many tags as metadata keys; each is a short label. */
const TAG_LIMITS = { count: 64, length: 128 } as const;

const SERVICE_NAME = /^[a-z0-9][a-z0-9._-]{0,127}$/i;
const NUMERIC_LABEL = /(?:^|\.)(?:\d+|0x[0-9a-f]*)\.?$/i; // a URL parser reads such a name as an address
const HOST_LABEL = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/i;
const METADATA_KEY = /^[A-Za-z0-9._/-]{1,128}$/;
const POISONOUS = new Set(["__proto__", "constructor", "prototype"]);
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const UNSPECIFIED = new Set(["0.0.0.0", "::"]);

/** Says what is wrong with one field: its path, what was given, what is allowed. */
export function invalid(field: string, given: unknown, allowed: string): DiscoveryError {
  return new DiscoveryError("INVALID_OPTION", `${field} must be ${allowed}, got ${shown(given)}`, { field });
}

function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  return typeof value === "function" ? "a function" : String(value);
}

/** A service name in its one stored form: lower case. */
export function serviceName(field: string, value: unknown): string {
  if (typeof value !== "string" || !SERVICE_NAME.test(value) || NUMERIC_LABEL.test(value)) {
    throw invalid(field, value, "a service name: 1–128 of A–Z a–z 0–9 . _ -, not ending in a number");
  }
  return value.toLowerCase();
}

/** An IPv4 or IPv6 address or an RFC 1123 host name, in canonical form; never anything a URL reads differently. */
export function hostName(field: string, value: unknown): string {
  if (typeof value === "string" && !UNSPECIFIED.has(value)) {
    if (isIPv4(value)) return value;
    if (isIPv6(value) && !value.includes("%")) return canonicalIPv6(field, value);
    if (isHostName(value)) return value.toLowerCase();
  }
  throw invalid(field, value, "an IPv4 or IPv6 address or a host name that others can reach");
}

function canonicalIPv6(field: string, value: string): string {
  const canonical = new URL(`http://[${value}]`).hostname.slice(1, -1);
  if (UNSPECIFIED.has(canonical)) throw invalid(field, value, "an address that others can reach");
  return canonical;
}

function isHostName(value: string): boolean {
  return value.length <= 253 && !NUMERIC_LABEL.test(value) && value.split(".").every((label) => HOST_LABEL.test(label));
}

/** An instance id: 1–256 printable characters. */
export function instanceId(field: string, value: unknown): string {
  if (typeof value === "string" && value.length > 0 && value.length <= 256 && !CONTROL.test(value)) return value;
  throw invalid(field, value, "1–256 printable characters");
}

/** A short printable text such as a zone or a version; absent stays absent. */
export function label(field: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string" && value.length > 0 && value.length <= 128 && !CONTROL.test(value)) return value;
  throw invalid(field, value, "1–128 printable characters");
}

/** A finite number from `min` to `max`, whole if asked. */
export function numberIn(field: string, value: unknown, min: number, max: number, whole = false): number {
  if (typeof value === "number" && value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
  throw invalid(field, value, `${whole ? "a whole number" : "a number"} from ${min} to ${max}`);
}

/** One of a few words. */
export function oneOf<T extends string>(field: string, value: unknown, allowed: readonly T[]): T {
  if (allowed.includes(value as T)) return value as T;
  throw invalid(field, value, `one of ${allowed.join(", ")}`);
}

const NO_TAGS: readonly string[] = Object.freeze([]);

/** Frozen tags without repetitions, in the order given. */
export function tagList(field: string, value: unknown): readonly string[] {
  if (value === undefined || value === null) return NO_TAGS;
  if (!Array.isArray(value) || value.length > TAG_LIMITS.count) {
    throw invalid(field, value, `an array of at most ${TAG_LIMITS.count} tags`);
  }
  if (value.length === 0) return NO_TAGS;
  const tags = value.map((tag, index) => label(`${field}[${index}]`, tag ?? "") as string);
  return Object.freeze([...new Set(tags)]);
}

/** Labels of an instance: a frozen object that inherits nothing, so that no key can mean anything else. */
export type Metadata = Readonly<Record<string, string>>;

const NO_METADATA: Metadata = Object.freeze(Object.create(null) as Record<string, string>);

/** Checks and freezes metadata; refuses keys that could poison an object. */
export function metadataOf(field: string, value: unknown): Metadata {
  if (value === undefined || value === null) return NO_METADATA;
  if (typeof value !== "object" || Array.isArray(value)) throw invalid(field, value, "an object of strings");
  const keys = Object.keys(value);
  if (keys.length === 0) return NO_METADATA;
  if (keys.length > METADATA_LIMITS.keys) throw invalid(field, keys.length, `at most ${METADATA_LIMITS.keys} keys`);
  const metadata = Object.create(NO_METADATA) as Record<string, string>; // on null itself it takes four times the memory
  let total = 0;
  for (const key of keys) {
    const text = metadataValue(field, key, (value as Record<string, unknown>)[key]);
    total += key.length + text.length;
    metadata[key] = text;
  }
  if (total > METADATA_LIMITS.totalLength) {
    throw invalid(field, `${total} characters`, `at most ${METADATA_LIMITS.totalLength} characters in all`);
  }
  return Object.freeze(metadata);
}

function metadataValue(field: string, key: string, value: unknown): string {
  if (POISONOUS.has(key) || !METADATA_KEY.test(key)) {
    throw invalid(`${field}.${key}`, key, "keyed by 1–128 of A–Z a–z 0–9 . _ / - (and not by __proto__ or its kin)");
  }
  if (typeof value === "string" && value.length <= METADATA_LIMITS.valueLength && !CONTROL.test(value)) return value;
  throw invalid(`${field}.${key}`, value, `a printable string of at most ${METADATA_LIMITS.valueLength} characters`);
}
