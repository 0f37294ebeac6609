import type { InstanceFailure } from "../registry/memory-events.js";
import type { LeaseSnapshotOptions, MemoryRegistryOptions } from "../registry/memory-options.js";
import type { Registry } from "../registry/registry.js";
import type { Clock } from "../runtime/clock.js";
import type { HostPolicy } from "./host-policy.js";
import type { ProbeOptions } from "./probing.js";

/** How a registry server is reached, and what stands behind it. */
export interface RegistryServerOptions {
  /** 0 takes any free port. @default 8761 */
  readonly port?: number;
  /** Address to bind to. @default "127.0.0.1" */
  readonly host?: string;
  /** Bind to more than loopback although nobody has to show who they are. @default false */
  readonly insecure?: boolean;
  /** Names by which clients may call a loopback server, beside `localhost`, `127.0.0.1` and `[::1]`. */
  readonly hosts?: readonly string[];
  /**
   * Which hosts may be registered by whom. `"peer"`: a registration names the address it comes from, so that nobody
   * registers the address of somebody else. An array of CIDRs: addresses in these. What is refused gets 403.
   *
   * @default "any" where only this machine can register, "peer" on any other bind
   */
  readonly hostPolicy?: HostPolicy;
  /** What may be connected to for instances that ask to be probed (`health_check`). */
  readonly probe?: ProbeOptions;
  /** What keeps the registrations. Whoever made it closes it. @default a memory of its own */
  readonly registry?: Registry;
  /**
   * Signs the lease ids of a registry that several servers share, 32 characters or more, the same for all of them.
   *
   * @default a secret that is made in the store and kept there
   */
  readonly leaseKey?: string;
  /** How long the own memory says `warming` after its start, in milliseconds. @default 30_000 */
  readonly warmingMs?: number;
  /** Called with every instance that fails in the own memory: the place to page somebody. */
  readonly alarm?: (failure: InstanceFailure) => void;
  /** Keeps the leases of the own memory on disk, so that a restart forgets nobody. @default memory alone */
  readonly snapshot?: LeaseSnapshotOptions;
  /** For tests. @default the real clock */
  readonly clock?: Clock;
}

/** The names of all options. */
export const SERVER_KEYS: readonly string[] = [
  ...["port", "host", "insecure", "hosts", "hostPolicy", "probe"],
  ...["registry", "leaseKey", "warmingMs", "alarm", "snapshot", "clock"],
];

/** Those that are for the server's own memory. */
export function memoryOptionsIn({ warmingMs, alarm, snapshot }: RegistryServerOptions): MemoryRegistryOptions {
  return {
    ...(warmingMs === undefined ? {} : { warmingMs }),
    ...(alarm === undefined ? {} : { alarm }),
    ...(snapshot === undefined ? {} : { snapshot }),
  };
}
