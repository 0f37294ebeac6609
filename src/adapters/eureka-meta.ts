import type { Metadata } from "../model/fields.js";

/**
 * Keys that stand as they are. Eureka also answers in XML, where a key is the name of an element: one that cannot be
 * such a name would spoil the whole list for every client that reads XML.
 */
const PLAIN_KEY = /^(?!mcp-|xml)[A-Za-z_][A-Za-z0-9._-]*$/i;
/** Fields of ours that have no `mcp-` before their name: those that others know as well. */
const OWN = new Set(["protocol", "zone", "version", "weight"]);
const REST = "mcp-metadata";

/** Metadata and our own fields as Eureka's. What cannot stand there under its own key goes as JSON into `mcp-metadata`. */
export function packed(metadata: Metadata, own: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const plain: Record<string, string> = {};
  const rest: Record<string, string> = {};
  for (const [key, value] of Object.entries(metadata)) (isPlain(key) ? plain : rest)[key] = value;
  return { ...plain, ...(Object.keys(rest).length === 0 ? {} : { [REST]: JSON.stringify(rest) }), ...own };
}

/** The metadata in a record that {@link packed} made. */
export function unpacked(meta: Readonly<Record<string, string>>): Metadata {
  const metadata: Record<string, string> = Object.create(null);
  for (const [key, value] of Object.entries(meta)) if (isPlain(key)) metadata[key] = value;
  const rest = meta[REST];
  return rest === undefined ? metadata : Object.assign(metadata, JSON.parse(rest) as Metadata);
}

function isPlain(key: string): boolean {
  return PLAIN_KEY.test(key) && !OWN.has(key);
}
