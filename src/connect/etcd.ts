import { etcd } from "../adapters/etcd.js";
import { invalid } from "../model/fields.js";
import type { Registry } from "../registry/registry.js";
import { knownKeys } from "../runtime/options.js";
import { decoded } from "./decoded.js";
import { membersAt } from "./members.js";
import { shownUrl } from "./shown-url.js";

/** Where etcd listens for its clients unless told otherwise. */
export const ETCD_PORT = 2379;

/** `etcd://user:password@a:2379,b:2379/prefix?token=…`; the environment is a better place for a token. */
export function openEtcd(
  path: string,
  url: URL,
  fromEnvironment: string | undefined,
  hosts: readonly string[],
): Registry {
  const query = Object.fromEntries(url.searchParams);
  knownKeys(path, query, ["token"]);
  const scheme = url.protocol === "etcd:" ? "http" : "https";
  const members = membersAt(hosts, ETCD_PORT);
  const who = [url.username, url.password].map(decoded);
  if (!members || who.includes(undefined)) {
    throw invalid(path, shownUrl(url.href), "etcd://host:2379, or several hosts with commas between them");
  }
  const [username, password] = who.map((text) => text || undefined);
  const token = username === undefined ? (query["token"] ?? fromEnvironment) : undefined;
  const prefix = /^\/?$/.test(url.pathname) ? {} : { prefix: `${url.pathname.replace(/\/$/, "")}/` };
  return etcd({ endpoints: members.map((member) => `${scheme}://${member}`), username, password, token, ...prefix });
}
