import { nacos } from "../adapters/nacos.js";
import { invalid } from "../model/fields.js";
import type { Registry } from "../registry/registry.js";
import { knownKeys } from "../runtime/options.js";
import { decoded } from "./decoded.js";
import { shownUrl } from "./shown-url.js";

/** Where a Nacos server listens for HTTP unless told otherwise. */
export const NACOS_PORT = 8848;

/**
 * `nacos://user:password@host:8848/namespace?group=…&cluster=…`; the environment is a better place for the password of a
 * user that the URL names.
 */
export function openNacos(path: string, url: URL, fromEnvironment: string | undefined): Registry {
  const query = Object.fromEntries(url.searchParams);
  knownKeys(path, query, ["group", "cluster"]);
  const [, namespace] = /^\/?([^/]*)\/?$/.exec(url.pathname) ?? [];
  const parts = [url.username, url.password, namespace].map(decoded);
  const [username, password, id] = parts;
  if (url.hostname === "" || parts.includes(undefined)) {
    const allowed = "nacos://user:password@host:8848/namespace, with group and cluster as its only parameters";
    throw invalid(path, shownUrl(url.href), allowed);
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
