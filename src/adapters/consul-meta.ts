import type { Metadata } from "../model/fields.js";

/** Consul's limits for one service: so many pairs, keys of a plain alphabet, values of so many bytes. */
const LIMITS = { pairs: 64, valueBytes: 512 } as const;
const PLAIN_KEY = /^(?!mcp-|consul-)[A-Za-z0-9_-]{1,128}$/; // Consul keeps `consul-` for itself
/** Fields of ours that have no `mcp-` before their name. */
const OWN = new Set(["protocol", "zone", "version"]);
const CHUNK = "mcp-metadata-";

/**
 * Metadata and our own fields as Consul's `Meta`. What fits stands there as it is; keys and values that Consul would
 * refuse go as JSON into `mcp-metadata-0`, `-1` and so on, so that nothing is lost.
 */
export function packed(metadata: Metadata, own: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const plain: Record<string, string> = {};
  const rest: Record<string, string> = {};
  for (const [key, value] of Object.entries(metadata)) {
    const fits = PLAIN_KEY.test(key) && !OWN.has(key) && Buffer.byteLength(value) <= LIMITS.valueBytes;
    (fits ? plain : rest)[key] = value;
  }
  const meta = { ...plain, ...chunked(rest), ...own };
  return Object.keys(meta).length <= LIMITS.pairs ? meta : { ...chunked(metadata), ...own };
}

/** The metadata in a `Meta` that {@link packed} made. */
export function unpacked(meta: Readonly<Record<string, string>>): Metadata {
  let json = "";
  for (let index = 0; meta[CHUNK + index] !== undefined; index++) json += meta[CHUNK + index];
  const metadata: Record<string, string> = Object.create(null);
  for (const [key, value] of Object.entries(meta)) if (PLAIN_KEY.test(key) && !OWN.has(key)) metadata[key] = value;
  return json === "" ? metadata : Object.assign(metadata, JSON.parse(json) as Metadata);
}

function chunked(metadata: Metadata): Record<string, string> {
  const chunks: Record<string, string> = {};
  if (Object.keys(metadata).length === 0) return chunks;
  let chunk = "";
  let bytes = 0;
  const close = (): void => {
    chunks[CHUNK + Object.keys(chunks).length] = chunk;
    [chunk, bytes] = ["", 0];
  };
  for (const character of JSON.stringify(metadata)) {
    const size = Buffer.byteLength(character);
    if (bytes + size > LIMITS.valueBytes) close();
    chunk += character;
    bytes += size;
  }
  close();
  return chunks;
}
