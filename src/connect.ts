import { pathToFileURL } from "node:url";
import { http } from "./adapters/http.js";
import { openConsul } from "./connect/consul.js";
import { openDns } from "./connect/dns.js";
import { openEtcd } from "./connect/etcd.js";
import { openEureka } from "./connect/eureka.js";
import { openFile } from "./connect/file.js";
import { openNacos } from "./connect/nacos.js";
import { shownUrl } from "./connect/shown-url.js";
import { DiscoveryError } from "./model/errors.js";
import { invalid } from "./model/fields.js";
import { failover } from "./registry/failover.js";
import type { Discovery, Registrar } from "./registry/registry.js";

/** A registry, and whether it is ours to close. */
export interface Connection<R> {
  readonly registry: R;
  /** Where it is, if that is known. */
  readonly host: string | undefined;
  /** Closes it if it was made here; leaves a value that was handed in to whoever made it. */
  readonly release: () => Promise<void>;
}

/** Makes a registry from its URL, parsed and with its first host, a token, and all hosts the URL names. */
type Open = (path: string, url: URL, token: string | undefined, hosts: readonly string[]) => Discovery;

/**
 * Schemes a registry URL may have, and what each makes of it. All are loaded at once: `createAgent()` does not wait, it
 * must know a registry's capabilities when it returns, and an adapter is a few kilobytes on top of what is there anyway.
 */
const SCHEMES: Readonly<Record<string, Open>> = {
  "http:": openHttp,
  "https:": openHttp,
  "consul:": openConsul,
  "consul+https:": openConsul,
  "etcd:": openEtcd,
  "etcd+https:": openEtcd,
  "eureka:": openEureka,
  "eureka+https:": openEureka,
  "nacos:": openNacos,
  "nacos+https:": openNacos,
  "dns:": openDns,
  "file:": openFile,
};

/** Those that take several hosts, with commas between them, which no URL may hold. */
const WITH_MEMBERS: ReadonlySet<string> = new Set([
  ...["http:", "https:", "etcd:", "etcd+https:", "nacos:", "nacos+https:"],
]);
/** What a URL of ours may hold before its path: who we are, and one host or several. */
const AUTHORITY = /^([a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?)([^/?#]*)/i;
/** Several URLs, in the order of preference: a comma before something that begins like one (hosts may have commas too). */
const NEXT_URL = /,\s*(?=[a-z][a-z0-9+.-]*:\/\/|file:)/i;
/** A host and its port, with a path if anything, and no scheme before it (which `consul:8500` only seems to have). */
const HOST_ALONE = /^(?!file:)(?:[a-z0-9._-]+|\[[0-9a-f:.]+\]):(\d{1,5})(?:\/[^\s,@]*)?$/i;
/** Ports by which a registry is recognised. */
const USUAL_PORTS: Readonly<Record<string, string>> = { "8500": "consul", "2379": "etcd", "8848": "nacos" };
/** A URL that names a file by a path from here: a URL parser would begin at the root. */
const FILE_FROM_HERE = /^file:(?!\/)/i;

/**
 * From a URL, several separated by commas, or an adapter's value to a registry; several are a failover. Without either,
 * `MCP_REGISTRY_URL` says where it is, and `MCP_REGISTRY_TOKEN` what opens it.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function connect<R extends Discovery | Registrar>(
  path: string,
  given: string | R | undefined,
): Connection<R | Discovery> {
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
    throw invalid(path, source, "a URL as a string, several with commas between them, or an adapter's value");
  }
  return { registry: source, host: source.host, release: async () => {} };
}

function connectTo(path: string, text: string): Connection<Discovery> {
  const [first, ...others] = text.split(NEXT_URL).map((each) => opened(path, each.trim()));
  const { registry, host } = first as Opened;
  if (others.length === 0) return { registry, host, release: () => registry.close() };
  const several = failover(registry, ...others.map((each) => each.registry));
  return { registry: several, host, release: () => several.close() };
}

interface Opened {
  readonly registry: Discovery;
  readonly host: string | undefined;
}

function opened(path: string, text: string): Opened {
  const [, port] = HOST_ALONE.exec(text) ?? [];
  if (port !== undefined) throw lacksScheme(path, text, USUAL_PORTS[port]);
  const [host = "", ...others] = (AUTHORITY.exec(text)?.[2] ?? "").split(",");
  const single = others.length === 0 ? text : text.replace(AUTHORITY, (_, before: string) => before + host);
  const url = URL.canParse(single) ? new URL(single.replace(FILE_FROM_HERE, pathToFileURL("./").href)) : undefined;
  const open = url && (others.length === 0 || WITH_MEMBERS.has(url.protocol)) && SCHEMES[url.protocol];
  if (!open) throw invalid(path, shownUrl(text), `a URL with one of the schemes ${Object.keys(SCHEMES).join(" ")}`);
  const token = process.env["MCP_REGISTRY_TOKEN"] || undefined;
  const registry = named(path, text, () => open(path, url, token, [host, ...others]));
  return { registry, host: registry.host ?? (url.hostname || undefined) };
}

function lacksScheme(path: string, text: string, scheme = "http"): DiscoveryError {
  const shown = shownUrl(text);
  const hint = `did you mean ${JSON.stringify(`${scheme}://${shown}`)}?`;
  const message = `${path} must be a URL, got ${JSON.stringify(shown)}: ${hint}`;
  return new DiscoveryError("INVALID_OPTION", message, { field: path });
}

/** An adapter names its own options; whoever wrote a URL knows nothing of them. */
function named<T>(path: string, text: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (!DiscoveryError.is(error, "INVALID_OPTION") || error.field?.startsWith(path)) throw error;
    const wrong = error.message.replace(/ \(INVALID_OPTION\)$/, "");
    const message = `${path} ${JSON.stringify(shownUrl(text))}: ${wrong}`;
    throw new DiscoveryError("INVALID_OPTION", message, { field: path, cause: error });
  }
}

/** `http://a:8761,b:8761`: nodes of one registry, on one etcd. */
function openHttp(
  path: string,
  { href, protocol, pathname }: URL,
  token: string | undefined,
  hosts: readonly string[],
) {
  const urls = hosts.map((host) => `${protocol}//${host}`);
  if (urls.length > 1 && !(pathname === "/" && urls.every((url) => URL.canParse(url)))) {
    throw invalid(path, shownUrl(href), "http://host:8761, or several hosts with commas between them");
  }
  return http({ url: urls.length > 1 ? urls : href, ...(token ? { token } : {}) });
}
