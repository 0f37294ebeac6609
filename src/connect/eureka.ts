import { eureka } from "../adapters/eureka.js";
import { invalid } from "../model/fields.js";
import type { Registry } from "../registry/registry.js";
import { knownKeys } from "../runtime/options.js";
import { shownUrl } from "./shown-url.js";

/** Where Spring Cloud's Eureka listens, and below which path it answers. */
export const EUREKA = { port: 8761, path: "/eureka" } as const;

/** A host, with or without a port, as it stands in a URL. */
const HOST = /^(\[[\da-f:.]+\]|[^\s:/?#@[\],]+)(:\d{1,5})?$/i;

/** `eureka://user:password@host:8761/eureka?peers=b:8761,c:8761`; peers have the same path and the same password. */
export function openEureka(path: string, url: URL, token: string | undefined): Registry {
  const query = Object.fromEntries(url.searchParams);
  knownKeys(path, query, ["peers"]);
  const hosts = [url.host, ...(query["peers"]?.split(",") ?? [])];
  if (!hosts.every((host) => HOST.test(host))) {
    throw invalid(
      path,
      shownUrl(url.href),
      "eureka://host:8761/eureka, with peers=host:port,host:port as its only parameter",
    );
  }
  const scheme = url.protocol === "eureka:" ? "http" : "https";
  const user = url.username === "" ? "" : `${url.username}:${url.password}@`;
  const base = /^\/?$/.test(url.pathname) ? EUREKA.path : url.pathname;
  const urls = hosts.map((host) => `${scheme}://${user}${/:\d+$/.test(host) ? host : `${host}:${EUREKA.port}`}${base}`);
  return eureka({ urls, token });
}
