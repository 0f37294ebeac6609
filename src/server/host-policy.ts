import { invalid } from "../model/fields.js";
import { AddressSet, unwrapped } from "./addresses.js";
import { Problem } from "./problem.js";

/**
 * Which hosts may be registered by whom: any; only the address from which the registration comes; or addresses in
 * these ranges (`10.0.0.0/8`). Except with `any`, a host name is refused: it may lead anywhere, and elsewhere tomorrow.
 */
export type HostPolicy = "any" | "peer" | readonly string[];

/** Refuses a host that must not be registered. @throws {Problem} 403, naming the field `host` */
export type HostCheck = (host: string, peer: string) => void;

/** @throws {DiscoveryError} `INVALID_OPTION` */
export function hostCheck(field: string, policy: HostPolicy): HostCheck {
  if (policy === "any") return () => {};
  if (policy === "peer") return checkPeer;
  if (!Array.isArray(policy)) throw invalid(field, policy, '"any", "peer" or an array of CIDRs');
  const ranges = new AddressSet(field, policy);
  return (host) => {
    if (!ranges.has(unwrapped(host))) throw refused(`${host} is in none of the ranges this registry takes hosts from`);
  };
}

/** The peer is the socket's: a header such as `X-Forwarded-For` can say anything. */
function checkPeer(host: string, peer: string): void {
  if (host === peer || unwrapped(host) === unwrapped(peer)) return;
  const from = peer === "" ? "from nowhere" : `from ${unwrapped(peer)}`;
  throw refused(`${host} is registered ${from}: this registry takes only the address a registration comes from`);
}

function refused(why: string): Problem {
  const detail = `host cannot be registered: ${why}. Its operator may set hostPolicy`;
  return new Problem(403, "HOST_NOT_ALLOWED", detail, { field: "host" });
}
