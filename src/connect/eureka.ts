import { eureka } from "../adapters/eureka.js";
import { invalid } from "../model/fields.js";
import type { Registry } from "../registry/registry.js";
import { knownKeys } from "../runtime/options.js";
import { membersAt } from "./members.js";
import { shownUrl } from "./shown-url.js";

/** Where Spring Cloud's Eureka listens, and below which path it answers. */
export const EUREKA = { port: 8761, path: "/eureka" } as const;

/** `eureka://user:password@host:8761/eureka?peers=b:8761,c:8761`; peers have the same path and the same password. */
export function openEureka(path: string, url: URL, token: string | undefined): Registry {
  const query = Object.fromEntries(url.searchParams);
  knownKeys(path, query, ["peers"]);
  const members = membersAt([url.host, ...(query["peers"]?.split(",") ?? [])], EUREKA.port);
  if (!members) {
    throw invalid(
      path,
      shownUrl(url.href),
      "eureka://host:8761/eureka, with peers=host:port,host:port as its only parameter",
    );
  }
  const scheme = url.protocol === "eureka:" ? "http" : "https";
  const user = url.username === "" ? "" : `${url.username}:${url.password}@`;
  const base = /^\/?$/.test(url.pathname) ? EUREKA.path : url.pathname;
  return eureka({ urls: members.map((member) => `${scheme}://${user}${member}${base}`), token });
}
