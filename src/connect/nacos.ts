import { nacos } from "../adapters/nacos.js";
import { invalid } from "../model/fields.js";
import type { Registry } from "../registry/registry.js";
import { knownKeys } from "../runtime/options.js";
import { decoded } from "./decoded.js";
import { membersAt } from "./members.js";
import { shownUrl } from "./shown-url.js";

/** Where a Nacos server listens for HTTP unless told otherwise. */
export const NACOS_PORT = 8848;

const PARAMETERS = ["group", "cluster", "push", "grpcPort"];

/**
 * `nacos://user:password@a:8848,b:8848/namespace?group=…&cluster=…&push=false&grpcPort=9848`; the environment is a better
 * place for the password of a user that the URL names.
 */
export function openNacos(
  path: string,
  url: URL,
  fromEnvironment: string | undefined,
  hosts: readonly string[],
): Registry {
  const query = Object.fromEntries(url.searchParams);
  knownKeys(path, query, PARAMETERS);
  const [, namespace] = /^\/?([^/]*)\/?$/.exec(url.pathname) ?? [];
  const parts = [url.username, url.password, namespace].map(decoded);
  const [username, password, id] = parts;
  const members = membersAt(hosts, NACOS_PORT);
  if (!members || parts.includes(undefined)) {
    const allowed = `nacos://user:password@a:8848,b:8848/namespace, with no parameters but ${PARAMETERS.join(", ")}`;
    throw invalid(path, shownUrl(url.href), allowed);
  }
  const scheme = url.protocol === "nacos:" ? "http" : "https";
  const urls = members.map((member) => `${scheme}://${member}`);
  const { push, grpcPort, group, cluster } = query;
  return nacos({
    url: urls,
    ...(username === "" ? {} : { username, password: password || fromEnvironment }),
    ...(id === "" ? {} : { namespace: id }),
    group,
    cluster,
    push: push === undefined ? undefined : flagIn(`${path}: push`, push),
    grpcPort: grpcPort === undefined ? undefined : portIn(`${path}: grpcPort`, grpcPort),
  });
}

function flagIn(field: string, text: string): boolean {
  if (text !== "true" && text !== "false") throw invalid(field, text, "true or false");
  return text === "true";
}

function portIn(field: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw invalid(field, text, "a port from 1 to 65535");
  return port;
}
