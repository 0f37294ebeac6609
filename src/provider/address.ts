import { isIP, isIPv6 } from "node:net";
import type { NetworkInterfaceInfo } from "node:os";
import { DiscoveryError } from "../model/errors.js";
import { hostName } from "../model/fields.js";

/** Environment variables that say it: ours, and what Kubernetes' downward API is usually mapped to. */
const TELLING = ["MCP_ADVERTISE_HOST", "POD_IP"] as const;
/** Bridges of containers and virtual machines: others cannot reach them, so they come last (Docker, Podman, libvirt, CNI). */
const VIRTUAL = /^(docker|br-|veth|virbr|podman|cni|flannel|cali|lxc|vmnet|vboxnet|utun|tun|tap)/;

/** Where an address comes from. */
export type AddressOrigin = "option" | (typeof TELLING)[number] | "server" | "route" | "interface" | "loopback";

/** An address that was considered. */
export interface AddressCandidate {
  readonly host: string;
  readonly from: AddressOrigin;
}

/** The address consumers are told, and what else there was. */
export interface AdvertisedAddress extends AddressCandidate {
  /** All that came into question, best first; the first one was taken. */
  readonly candidates: readonly AddressCandidate[];
}

/** What the choice of an address rests on. */
export interface AddressSources {
  /** Set by the user: always wins. */
  readonly option?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What the attached server is bound to. */
  readonly bound?: string | undefined;
  /** Host of the registry, where it is known. */
  readonly registryHost?: string | undefined;
  /** The address this machine uses towards the registry, if there is a way. */
  readonly route?: string | undefined;
  readonly interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;
}

/**
 * Which address to tell consumers: the one given, `MCP_ADVERTISE_HOST`, `POD_IP`, the one the attached server is bound
 * to, the address this machine uses towards the registry, or that of an interface others can reach (IPv4 before IPv6,
 * bridges of containers last). Loopback only when the registry is there too, or is a value inside this process and
 * there is nothing else; link-local never.
 *
 * @throws {DiscoveryError} `INVALID_OPTION` if what was told is no host · `UNAVAILABLE` if there is no address yet
 */
export function advertisedAddress(sources: AddressSources): AdvertisedAddress {
  const byHost = new Map<string, AddressCandidate>();
  for (const candidate of [...told(sources), ...seen(sources)]) {
    if (!byHost.has(candidate.host)) byHost.set(candidate.host, candidate);
  }
  const candidates = [...byHost.values()];
  const [best] = candidates;
  if (best) return { ...best, candidates };
  throw new DiscoveryError("UNAVAILABLE", "This machine has no address that others can reach: set host", {
    field: "agent.host",
  });
}

function* told({ option, env }: AddressSources): Iterable<AddressCandidate> {
  if (option !== undefined) yield { host: hostName("agent.host", option), from: "option" };
  for (const from of TELLING) {
    const host = env[from];
    if (host) yield { host: hostName(from, host), from };
  }
}

function* seen({ bound, registryHost, route, interfaces }: AddressSources): Iterable<AddressCandidate> {
  const near = registryHost ?? bound ?? ""; // of a registry that is a value: whoever listens on loopback is reached there alone
  const isHere = isLoopback(near) || (route !== undefined && isLoopback(route));
  const reachable = (host: string | undefined): host is string =>
    host !== undefined && !isUnspecified(host) && !isLinkLocal(host) && (isHere || !isLoopback(host));
  if (reachable(bound)) yield { host: bound, from: "server" };
  if (isHere) yield { host: "127.0.0.1", from: "loopback" };
  if (reachable(route) && !isLoopback(route)) yield { host: route, from: "route" };
  const outer = outerAddresses(interfaces);
  for (const host of outer) yield { host, from: "interface" };
  if (registryHost === undefined && outer.length === 0) yield { host: "127.0.0.1", from: "loopback" };
}

function outerAddresses(interfaces: AddressSources["interfaces"]): readonly string[] {
  const outer: { host: string; rank: number }[] = [];
  for (const [name, addresses] of Object.entries(interfaces)) {
    for (const { family, internal, address } of addresses ?? []) {
      if (internal || isLinkLocal(address)) continue;
      outer.push({ host: address, rank: (VIRTUAL.test(name) ? 2 : 0) + (family === "IPv4" ? 0 : 1) });
    }
  }
  return outer.sort((a, b) => a.rank - b.rank).map(({ host }) => host); // stable: else in the system's order
}

/** Whether the user or the environment has said it, so that nothing need be looked up. */
export function isTold({ option, env }: Pick<AddressSources, "option" | "env">): boolean {
  return option !== undefined || TELLING.some((name) => Boolean(env[name]));
}

/** Whether a host is this machine's loopback. */
function isLoopback(host: string): boolean {
  const bare = bareHost(host);
  return bare === "localhost" || bare === "::1" || (isIP(bare) === 4 && bare.startsWith("127."));
}

/** fe80::/10 and 169.254.0.0/16: valid on one wire only. */
function isLinkLocal(host: string): boolean {
  return host.startsWith("169.254.") || (isIPv6(host) && /^fe[89ab]/i.test(host));
}

function isUnspecified(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** Without the brackets a URL puts around IPv6, and as IPv4 where that is what it is. */
export function bareHost(host: string): string {
  return host
    .replace(/^\[|\]$/g, "")
    .replace(/^::ffff:(?=\d+\.)/i, "")
    .toLowerCase();
}
