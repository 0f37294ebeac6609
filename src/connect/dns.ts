import { type DnsOptions, dns } from "../adapters/dns.js";
import { invalid } from "../model/fields.js";
import type { Discovery } from "../registry/registry.js";
import { knownKeys } from "../runtime/options.js";
import { decoded } from "./decoded.js";
import { shownUrl } from "./shown-url.js";

/** `dns://host:53/domain?type=a&port=80&tcp=true`; without a host, this machine's own name server. */
export function openDns(path: string, url: URL): Discovery {
  const query = Object.fromEntries(url.searchParams);
  knownKeys(path, query, ["type", "name", "port", "protocol", "tcp"]);
  const { type, name, port, protocol, tcp = "false" } = query as Record<string, string | undefined> & DnsWords;
  const domain = decoded(url.pathname.slice(1));
  if (domain === undefined || url.username !== "" || (tcp !== "true" && tcp !== "false")) {
    throw invalid(path, shownUrl(url.href), "dns://host:53/domain, with tcp=true if anything");
  }
  if (domain === "" && (name === undefined || name.includes("{domain}"))) {
    throw invalid(path, shownUrl(url.href), "dns://host:53/domain, with the domain whose names are asked for");
  }
  return dns({
    ...{ server: url.host || undefined, domain: domain || undefined, type, name, protocol, tcp: tcp === "true" },
    port: port === undefined ? undefined : Number(port),
  });
}

/** What a query says is checked by the adapter. */
type DnsWords = Pick<DnsOptions, "type" | "protocol">;
