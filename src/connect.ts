import { http } from "./adapters/http.js";
import { DiscoveryError } from "./model/errors.js";
import { invalid } from "./model/fields.js";
import type { Discovery, Registrar, Registry } from "./registry/registry.js";

/** A registry, and whether it is ours to close. */
export interface Connection<R> {
  readonly registry: R;
  /** Where it is, if that is known. */
  readonly host: string | undefined;
  /** Closes it if it was made here; leaves a value that was handed in to whoever made it. */
  readonly release: () => Promise<void>;
}

/** Schemes a registry URL may have, and what each makes of it. */
const SCHEMES: Readonly<Record<string, (url: string, token: string | undefined) => Registry>> = {
  "http:": openHttp,
  "https:": openHttp,
};

/**
 * From a URL or an adapter's value to a registry. Without either, `MCP_REGISTRY_URL` says where it is, and
 * `MCP_REGISTRY_TOKEN` what opens it.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function connect<R extends Discovery | Registrar>(
  path: string,
  given: string | R | undefined,
): Connection<R | Registry> {
  const source = given ?? process.env["MCP_REGISTRY_URL"];
  if (source === undefined) {
    throw new DiscoveryError(
      "INVALID_OPTION",
      `${path} is missing: give a URL or an adapter, or set MCP_REGISTRY_URL`,
      { field: path },
    );
  }
  if (typeof source === "string") return connectTo(path, source);
  if (typeof source !== "object" || typeof source.close !== "function") {
    throw invalid(path, source, "a URL or an adapter's value");
  }
  return { registry: source, host: undefined, release: async () => {} };
}

function connectTo(path: string, text: string): Connection<Registry> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const open = url && SCHEMES[url.protocol];
  if (!open) throw invalid(path, text, `a URL with one of the schemes ${Object.keys(SCHEMES).join(" ")}`);
  const registry = open(text, process.env["MCP_REGISTRY_TOKEN"]);
  return { registry, host: url.hostname, release: () => registry.close() };
}

function openHttp(url: string, token: string | undefined): Registry {
  return http({ url, ...(token ? { token } : {}) });
}
