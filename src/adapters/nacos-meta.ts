import type { Metadata } from "../model/fields.js";

/** Where metadata is kept whose keys mean something else to Nacos, to Spring or to us. */
const REST = "mcp-metadata";
const TAKEN = /^(mcp-|preserved\.|(protocol|secure|zone|version)$)/;

/** Metadata and our own fields as Nacos' metadata. Keys that are taken go as JSON into `mcp-metadata`: nothing is lost. */
export function packed(metadata: Metadata, own: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const plain: Record<string, string> = {};
  const rest: Record<string, string> = {};
  for (const [key, value] of Object.entries(metadata)) (TAKEN.test(key) ? rest : plain)[key] = value;
  return { ...plain, ...(Object.keys(rest).length === 0 ? {} : { [REST]: JSON.stringify(rest) }), ...own };
}

/** The metadata in what {@link packed} made, in one order: Nacos keeps none. */
export function unpacked(meta: Readonly<Record<string, string>>): Metadata {
  const metadata: Record<string, string> = Object.create(null);
  for (const key of Object.keys(meta).sort()) if (!TAKEN.test(key)) metadata[key] = meta[key] as string;
  const rest = meta[REST];
  return rest === undefined ? metadata : Object.assign(metadata, JSON.parse(rest) as Metadata);
}
