import { BlockList, isIP, isIPv4 } from "node:net";
import { invalid } from "../model/fields.js";

/** Ranges of addresses. What is wrapped in another address is not looked for: see {@link unwrapped}. */
export class AddressSet {
  readonly #list = new BlockList();

  /** @param ranges addresses and CIDRs; @throws {DiscoveryError} `INVALID_OPTION` */
  constructor(field: string, ranges: readonly string[]) {
    if (!Array.isArray(ranges)) throw invalid(field, ranges, "an array of addresses and CIDRs");
    ranges.forEach((range, index) => void this.#add(`${field}[${index}]`, range));
  }

  has(address: string): boolean {
    const version = isIP(address);
    return version !== 0 && this.#list.check(address, version === 4 ? "ipv4" : "ipv6");
  }

  #add(field: string, range: unknown): void {
    const [address = "", prefix, ...more] = typeof range === "string" ? range.split("/") : [];
    const version = isIP(address);
    const bits = version === 4 ? 32 : 128;
    const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
    if (version === 0 || address.includes("%") || more.length > 0 || !(length <= bits)) {
      throw invalid(field, range, "an address or a CIDR such as 10.0.0.0/8");
    }
    this.#list.addSubnet(address, length, version === 4 ? "ipv4" : "ipv6");
  }
}

const LOOPBACK = new AddressSet("loopback", ["127.0.0.0/8", "::1"]);

/** Whether it is this machine itself, in whatever wrapping. */
export function isLoopback(address: string): boolean {
  return LOOPBACK.has(unwrapped(address));
}

/** Whose address it is: whoever holds one IPv6 address holds the other 2^64 of its network as well. */
export function networkOf(address: string): string {
  const reached = unwrapped(address.replace(/%.*$/, ""));
  return groupsOf(reached)?.slice(0, 4).join(":") ?? reached;
}

/** Where an IPv4 address stands in an IPv6 one: the first 16-bit groups, where it begins, and whether it is inverted. */
const WRAPPINGS: readonly { readonly head: readonly number[]; readonly at: number; readonly inverted?: boolean }[] = [
  { head: [0, 0, 0, 0, 0, 0xffff], at: 6 }, // IPv4-mapped, RFC 4291
  { head: [0, 0, 0, 0, 0xffff, 0], at: 6 }, // IPv4-translated, RFC 2765
  { head: [0x64, 0xff9b, 0, 0, 0, 0], at: 6 }, // NAT64, RFC 6052
  { head: [0x2002], at: 1 }, // 6to4, RFC 3056
  { head: [0x2001, 0], at: 6, inverted: true }, // Teredo, RFC 4380
];

/**
 * The IPv4 address inside an IPv6 one that leads to it; any other address as it is.
 *
 * `BlockList` sees through `::ffff:` alone, and a router through all of these.
 */
export function unwrapped(address: string): string {
  if (isIPv4(address)) return address;
  const groups = groupsOf(address);
  if (!groups) return address;
  for (const { head, at, inverted = false } of WRAPPINGS) {
    if (head.every((group, index) => groups[index] === group)) return dotted(groups, at, inverted);
  }
  const isCompatible = groups.slice(0, 6).every((group) => group === 0) && (groups[6] !== 0 || (groups[7] ?? 0) > 1);
  return isCompatible ? dotted(groups, 6, false) : address; // ::a.b.c.d, deprecated by RFC 4291
}

function dotted(groups: readonly number[], at: number, inverted: boolean): string {
  const [high = 0, low = 0] = groups.slice(at, at + 2).map((group) => (inverted ? group ^ 0xffff : group));
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/** The eight groups of an IPv6 address; undefined for anything else. */
function groupsOf(address: string): readonly number[] | undefined {
  if (isIP(address) !== 6 || address.includes("%")) return undefined;
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1); // no dotted tail any more
  const [head = "", tail] = canonical.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = Array<string>(8 - before.length - after.length).fill("0");
  return [...before, ...gap, ...after].map((group) => Number.parseInt(group, 16));
}
