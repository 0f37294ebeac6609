import { consul } from "../adapters/consul.js";
import { invalid } from "../model/fields.js";
import type { Registry } from "../registry/registry.js";
import { knownKeys } from "../runtime/options.js";
import { shownUrl } from "./shown-url.js";

/** Where a Consul agent listens for HTTP unless told otherwise. */
export const CONSUL_PORT = 8500;

/** `consul://host:8500?dc=eu&token=…`; the environment is a better place for a token. */
export function openConsul(path: string, url: URL, fromEnvironment: string | undefined): Registry {
  const query = Object.fromEntries(url.searchParams);
  knownKeys(path, query, ["dc", "token"]);
  const { dc: datacenter, token = fromEnvironment } = query;
  if (url.hostname === "" || url.username !== "" || !/^\/?$/.test(url.pathname)) {
    throw invalid(path, shownUrl(url.href), "consul://host:8500, with dc and token as its only parameters");
  }
  const scheme = url.protocol === "consul:" ? "http" : "https";
  return consul({ url: `${scheme}://${url.hostname}:${url.port || CONSUL_PORT}`, token, datacenter });
}
