import { METADATA_LIMITS, type Metadata } from "../model/fields.js";
import type { Protocol } from "../model/instance.js";

/** What others may have put there is taken as far as the model can hold it: a long tag must not cost an instance. */
const TAGS = { count: 64, length: 128 } as const;
const METADATA_KEY = /^[A-Za-z0-9._/-]{1,128}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const PROTOCOLS: readonly string[] = ["http", "https", "grpc", "tcp"] satisfies readonly Protocol[];

/** The tags that can be told. */
export function foreignTags(tags: unknown): readonly string[] {
  return Array.isArray(tags) ? tags.filter((tag) => foreignLabel(tag) !== undefined).slice(0, TAGS.count) : [];
}

/** A zone or a version, if it can be one. */
export function foreignLabel(text: unknown): string | undefined {
  const fits = typeof text === "string" && text.length > 0 && text.length <= TAGS.length && !CONTROL.test(text);
  return fits ? text : undefined;
}

/** The pairs of a record's metadata that can be told, as long as there is room. */
export function foreignMetadata(meta: Readonly<Record<string, string>>): Metadata {
  const metadata: Record<string, string> = Object.create(null);
  let [room, places] = [METADATA_LIMITS.totalLength, METADATA_LIMITS.keys as number];
  for (const [key, value] of Object.entries(meta)) {
    const size = key.length + String(value).length;
    if (typeof value !== "string" || value.length > METADATA_LIMITS.valueLength || size > room || places === 0)
      continue;
    if (!METADATA_KEY.test(key) || CONTROL.test(value)) continue;
    if (["__proto__", "constructor", "prototype"].includes(key)) continue;
    metadata[key] = value;
    room -= size;
    places--;
  }
  return metadata;
}

/**
 * How an instance is spoken to, by the customs there are: `protocol` or `scheme` in its `Meta`, Spring's `secure=true`
 * in `Meta` or tags, a tag that is the name of a protocol; else HTTP.
 */
export function foreignProtocol(meta: Readonly<Record<string, string>>, tags: readonly string[]): Protocol {
  const told = (meta["protocol"] ?? meta["scheme"] ?? "").toLowerCase();
  if (PROTOCOLS.includes(told)) return told as Protocol;
  if (meta["secure"] === "true" || tags.includes("secure=true")) return "https";
  return (tags.find((tag) => PROTOCOLS.includes(tag)) as Protocol | undefined) ?? "http";
}
