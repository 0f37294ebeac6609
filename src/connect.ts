import { consul } from "./adapters/consul.js";
import { etcd } from "./adapters/etcd.js";
import { eureka } from "./adapters/eureka.js";
import { http } from "./adapters/http.js";
import { nacos } from "./adapters/nacos.js";
import { DiscoveryError } from "./model/errors.js";
import { invalid } from "./model/fields.js";
import type { Discovery, Registrar, Registry } from "./registry/registry.js";
import { knownKeys } from "./runtime/options.js";

/** Where a Consul agent listens for HTTP unless told otherwise. */
const CONSUL_PORT = 8500;
/** Where etcd listens for its clients unless told otherwise. */
const ETCD_PORT = 2379;
/** What a URL of ours may hold before its path: who we are, and one host or several. */
const AUTHORITY = /^([a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?)([^/?#]*)/i;
/** Where Spring Cloud's Eureka listens, and below which path it answers. */
const EUREKA = { port: 8761, path: "/eureka" } as const;

/** A host, with or without a port, as it stands in a URL. */
const HOST = /^(\[[\da-f:.]+\]|[^\s:/?#@[\],]+)(:\d{1,5})?$/i;
/** The same for a Nacos server. */
const NACOS_PORT = 8848;

/** A registry, and whether it is ours to close. */
export interface Connection<R> {
  readonly registry: R;
  /** Where it is, if that is known. */
  readonly host: string | undefined;
  /** Closes it if it was made here; leaves a value that was handed in to whoever made it. */
  readonly release: () => Promise<void>;
}

/** Makes a registry from its URL, which it has parsed already, a token, and the hosts where there are several. */
type Open = (path: string, url: URL, token: string | undefined, hosts: readonly string[]) => Registry;

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
};
/** Those that take several hosts, with commas between them, which no URL may hold. */
const WITH_MEMBERS: ReadonlySet<string> = new Set(["etcd:", "etcd+https:"]);

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
  return { registry: source, host: source.host, release: async () => {} };
}

function connectTo(path: string, text: string): Connection<Registry> {
  const [first = "", ...others] = (AUTHORITY.exec(text)?.[2] ?? "").split(",");
  const single = others.length === 0 ? text : text.replace(AUTHORITY, (_, before: string) => before + first);
  const url = URL.canParse(single) ? new URL(single) : undefined;
  const open = url && (others.length === 0 || WITH_MEMBERS.has(url.protocol)) && SCHEMES[url.protocol];
  if (!open) throw invalid(path, safe(text), `a URL with one of the schemes ${Object.keys(SCHEMES).join(" ")}`);
  const registry = open(path, url, process.env["MCP_REGISTRY_TOKEN"] || undefined, [first, ...others]);
  return { registry, host: registry.host ?? url.hostname, release: () => registry.close() };
}

function openHttp(_path: string, { href: url }: URL, token: string | undefined): Registry {
  return http({ url, ...(token ? { token } : {}) });
}

/** `consul://host:8500?dc=eu&token=…`; the environment is a better place for a token. */
function openConsul(path: string, url: URL, fromEnvironment: string | undefined): Registry {
  const query = Object.fromEntries(url.searchParams);
  knownKeys(path, query, ["dc", "token"]);
  const { dc: datacenter, token = fromEnvironment } = query;
  if (url.hostname === "" || url.username !== "" || !/^\/?$/.test(url.pathname)) {
    throw invalid(path, safe(url.href), "consul://host:8500, with dc and token as its only parameters");
  }
  const scheme = url.protocol === "consul:" ? "http" : "https";
  return consul({ url: `${scheme}://${url.hostname}:${url.port || CONSUL_PORT}`, token, datacenter });
}

/** `etcd://user:password@a:2379,b:2379/prefix?token=…`; the environment is a better place for a token. */
function openEtcd(path: string, url: URL, fromEnvironment: string | undefined, hosts: readonly string[]): Registry {
  const query = Object.fromEntries(url.searchParams);
  knownKeys(path, query, ["token"]);
  const scheme = url.protocol === "etcd:" ? "http" : "https";
  const members = hosts.map((host) =>
    URL.canParse(`${scheme}://${host}`) ? new URL(`${scheme}://${host}`) : undefined,
  );
  const isPlain = members.every((member) => member && member.pathname === "/" && member.username === "");
  if (url.hostname === "" || !isPlain) {
    throw invalid(path, safe(url.href), "etcd://host:2379, or several hosts with commas between them");
  }
  const endpoints = members.map((member, index) => {
    const port = /:\d+$/.exec(hosts[index] as string)?.[0] ?? `:${ETCD_PORT}`; // 80 and 443 are left out of a parsed one
    return `${scheme}://${member?.hostname}${port}`;
  });
  const [username, password] = [url.username, url.password].map((text) => decodeURIComponent(text) || undefined);
  const token = username === undefined ? (query["token"] ?? fromEnvironment) : undefined;
  const prefix = /^\/?$/.test(url.pathname) ? {} : { prefix: `${url.pathname.replace(/\/$/, "")}/` };
  return etcd({ endpoints, username, password, token, ...prefix });
}

/** `eureka://user:password@host:8761/eureka?peers=b:8761,c:8761`; peers have the same path and the same password. */
function openEureka(path: string, url: URL, token: string | undefined): Registry {
  const query = Object.fromEntries(url.searchParams);
  knownKeys(path, query, ["peers"]);
  const hosts = [url.host, ...(query["peers"]?.split(",") ?? [])];
  if (!hosts.every((host) => HOST.test(host))) {
    throw invalid(
      path,
      safe(url.href),
      "eureka://host:8761/eureka, with peers=host:port,host:port as its only parameter",
    );
  }
  const scheme = url.protocol === "eureka:" ? "http" : "https";
  const user = url.username === "" ? "" : `${url.username}:${url.password}@`;
  const base = /^\/?$/.test(url.pathname) ? EUREKA.path : url.pathname;
  const urls = hosts.map((host) => `${scheme}://${user}${/:\d+$/.test(host) ? host : `${host}:${EUREKA.port}`}${base}`);
  return eureka({ urls, token });
}

/**
 * `nacos://user:password@host:8848/namespace?group=…&cluster=…`; the environment is a better place for the password of a
 * user that the URL names.
 */
function openNacos(path: string, url: URL, fromEnvironment: string | undefined): Registry {
  const query = Object.fromEntries(url.searchParams);
  knownKeys(path, query, ["group", "cluster"]);
  const [, namespace] = /^\/?([^/]*)\/?$/.exec(url.pathname) ?? [];
  const parts = [url.username, url.password, namespace].map(decoded);
  const [username, password, id] = parts;
  if (url.hostname === "" || parts.includes(undefined)) {
    const allowed = "nacos://user:password@host:8848/namespace, with group and cluster as its only parameters";
    throw invalid(path, safe(url.href), allowed);
  }
  const scheme = url.protocol === "nacos:" ? "http" : "https";
  return nacos({
    url: `${scheme}://${url.hostname}:${url.port || NACOS_PORT}`,
    ...(username === "" ? {} : { username, password: password || fromEnvironment }),
    ...(id === "" ? {} : { namespace: id }),
    group: query["group"],
    cluster: query["cluster"],
  });
}

function decoded(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** A URL for messages, without what may be secret in it. */
function safe(text: string): string {
  return text.replace(/\?.*$/s, "?…").replace(/\/\/[^/]*@/, "//…@");
}
