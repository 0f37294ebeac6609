import { isIP } from "node:net";
import { DiscoveryError } from "../model/errors.js";
import { hostPort, type ServiceInstance } from "../model/instance.js";
import { AddressSet, isLoopback, unwrapped } from "./addresses.js";

/** Where nobody's service lives, and what would answer there would tell secrets or be many. */
const DENIED: readonly (readonly [what: string, ranges: AddressSet])[] = [
  [
    "a cloud's metadata address",
    new AddressSet("metadata", [
      "169.254.169.254", // AWS, Azure, GCP and most others
      "100.100.100.200", // Alibaba
      "168.63.129.16", // Azure's platform
      "192.0.0.192", // Oracle
      "fd00:ec2::/32", // AWS over IPv6
      "fd20:ce::254", // GCP over IPv6
    ]),
  ],
  ["link-local", new AddressSet("link-local", ["169.254.0.0/16", "fe80::/10", "fec0::/10"])],
  ["unspecified", new AddressSet("unspecified", ["0.0.0.0/8", "::"])],
  ["multicast", new AddressSet("multicast", ["224.0.0.0/4", "ff00::/8"])],
  ["broadcast or reserved", new AddressSet("broadcast", ["240.0.0.0/4"])],
  ["of a local translator", new AddressSet("nat64", ["64:ff9b:1::/48"])], // RFC 8215: leads to who knows where
];
/** Below it live the system's own services, not people's; a port scan begins there. */
const FIRST_USER_PORT = 1_024;
const WEB_PORTS: readonly number[] = [80, 443];

/** What the registry may connect to on behalf of others: they name the address, and its network is not theirs. */
export class ProbeRules {
  readonly #allow: AddressSet | undefined;

  /** @param allow replaces all rules: addresses and CIDRs that may be probed, on any port */
  constructor(allow?: AddressSet) {
    this.#allow = allow;
  }

  /** Why that port must not be probed; undefined if it may. */
  refusesPort(port: number): string | undefined {
    if (this.#allow || port >= FIRST_USER_PORT || WEB_PORTS.includes(port)) return undefined;
    return `port ${port} is below ${FIRST_USER_PORT}, and neither 80 nor 443`;
  }

  /**
   * Why that address must not be probed; undefined if it may.
   *
   * @param local whether whoever asks for it comes from this machine: only they may have this machine probed
   */
  refusesAddress(address: string, local: boolean): string | undefined {
    const reached = unwrapped(address); // both count: what is written, and what a packet would reach
    if (isIP(address) === 0 || address.includes("%")) return `${address} is no plain address`;
    if (this.#allow) return this.#allow.has(reached) ? undefined : `${address} is not in probe.allow`;
    for (const [what, ranges] of DENIED) {
      if (ranges.has(address) || ranges.has(reached)) return `${address} is ${what}`;
    }
    return !local && isLoopback(address) ? `${address} is this registry's own machine` : undefined;
  }
}

/** Where one instance is probed. The parts are what is connected to; the URL has only proven that they are parts. */
export interface ProbeTarget {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** `https` and `http` are asked for the path; of the others only a connection is wanted. */
  readonly scheme: "http" | "https" | "tcp";
  /** Whether it may be this machine: whoever registered it came from here. */
  readonly local: boolean;
}

/**
 * Builds the target of an instance, or says why there must be none. A host name is judged later, address by address,
 * whenever it is resolved: what a name means may change.
 *
 * @throws {DiscoveryError} `INVALID_OPTION` on `field`: a URL of these parts would lead elsewhere, or a rule forbids it
 */
export function probeTarget(
  field: string,
  { host, port, protocol }: Pick<ServiceInstance, "host" | "port" | "protocol">,
  path: string,
  { rules, local }: { readonly rules: ProbeRules; readonly local: boolean },
): ProbeTarget {
  const why =
    differs(host, port, path) ??
    rules.refusesPort(port) ??
    (isIP(host) === 0 ? undefined : rules.refusesAddress(host, local));
  if (why !== undefined) {
    const message = `${field} cannot be granted: ${why}. Register without it, or name the address in the server's probe.allow`;
    throw new DiscoveryError("INVALID_OPTION", message, { field });
  }
  const scheme = protocol === "http" || protocol === "https" ? protocol : "tcp";
  return { host, port, path, scheme, local };
}

/** How a URL of these parts would differ from them; undefined if it does not. */
function differs(host: string, port: number, path: string): string | undefined {
  const authority = hostPort(host, port);
  const text = `http://${authority}${path}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const shownPort = port === 80 ? "" : String(port);
  const isSame =
    url !== undefined &&
    url.hostname === authority.slice(0, authority.lastIndexOf(":")) &&
    url.port === shownPort &&
    url.username === "" &&
    url.password === "" &&
    url.hash === "";
  return isSame ? undefined : `a URL of ${JSON.stringify(host)}, port and path would lead elsewhere`;
}
