import { numberIn } from "../model/fields.js";
import type { CheckedLease } from "../registry/memory-options.js";
import type { Lease, Registry } from "../registry/registry.js";
import { type Clock, systemRandom } from "../runtime/clock.js";
import { knownKeys } from "../runtime/options.js";
import { AddressSet } from "./addresses.js";
import { type ConnectProbe, connectProbe } from "./connect-probe.js";
import { GuardedLookup } from "./guarded-lookup.js";
import { systemProbe } from "./probe.js";
import { ProbeRules } from "./probe-target.js";
import { Prober, type ProbeSink } from "./prober.js";

/** Distinct targets of one registrant: more than one machine runs, and too few to scan a network. */
const MAX_PER_PEER = 256;

/** What the registry may connect to when it looks after instances by itself. */
export interface ProbeOptions {
  /**
   * Addresses and CIDRs that may be probed, on any port; nothing else may then.
   *
   * @default all but link-local, metadata, multicast, broadcast and unspecified addresses, ports below 1024 except 80 and
   * 443, and this machine for whoever registers from another
   */
  readonly allow?: readonly string[];
  /**
   * Distinct addresses probed for one registrant, told by the address it comes from; one that goes counts for another
   * five minutes. What is more is registered, but not probed. Behind a proxy all registrants are one.
   *
   * @default 256
   */
  readonly maxPerPeer?: number;
}

/** A registry that may take note of what a prober sees, and may know from before who asked for that. */
type Probeable = Registry & Partial<ProbeSink> & { checks?(): readonly CheckedLease[] };

/** How this server looks at instances: for those that ask for it, and for its own memory when that doubts one. */
export class Probing {
  /** Whether somebody listens where an instance should be. */
  readonly connect: ConnectProbe;
  readonly #rules: ProbeRules;
  readonly #lookup: GuardedLookup;
  readonly #clock: Clock;
  readonly #maxPerPeer: number;

  /** @param local whether only this machine can register; @throws {DiscoveryError} `INVALID_OPTION` */
  constructor(options: ProbeOptions, clock: Clock, local: boolean) {
    knownKeys("server.probe", options, ["allow", "maxPerPeer"]);
    const { allow, maxPerPeer = MAX_PER_PEER } = options;
    this.#maxPerPeer = numberIn("server.probe.maxPerPeer", maxPerPeer, 0, 100_000, true);
    this.#rules = new ProbeRules(allow && new AddressSet("server.probe.allow", allow));
    this.#lookup = new GuardedLookup(this.#rules);
    this.#clock = clock;
    this.connect = connectProbe({ rules: this.#rules, lookup: this.#lookup, clock, local });
  }

  /** The prober of a registry; undefined for one that takes no note of what others observe. */
  proberFor(registry: Probeable): Prober | undefined {
    const sink = sinkOf(registry);
    if (!sink) return undefined;
    const clock = this.#clock;
    const probe = systemProbe({ lookup: this.#lookup, clock });
    const rules = this.#rules;
    const prober = new Prober({ sink, probe, clock, random: systemRandom, rules, maxPerPeer: this.#maxPerPeer });
    prober.resume(registry.checks?.() ?? []);
    return prober;
  }
}

/** The registry as one that cannot throw at the prober: whoever made it may have closed it before the server. */
function sinkOf(registry: Probeable): ProbeSink | undefined {
  if (!registry.lease || !registry.observe) return undefined;
  const sink = registry as ProbeSink;
  return { lease: (id) => quietly(() => sink.lease(id)), observe: (id, seen) => quietly(() => sink.observe(id, seen)) };
}

function quietly<T extends Lease | undefined | void>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}
