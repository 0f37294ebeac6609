import type { DiscoveryError } from "../model/errors.js";
import { invalid, serviceName } from "../model/fields.js";
import { type DeclaredStatus, defineInstance, type InstanceInput, type ServiceInstance } from "../model/instance.js";
import type { Lease, Registrar } from "../registry/registry.js";
import type { Clock, Random } from "../runtime/clock.js";
import { knownKeys } from "../runtime/options.js";

const KEYS = [
  "service",
  "port",
  "host",
  "id",
  "protocol",
  "weight",
  "zone",
  "version",
  "tags",
  "metadata",
  "ttlMs",
  "clock",
  "random",
];

/** Who registers, and how. */
export interface AgentOptions
  extends Omit<InstanceInput, "host" | "status" | "ttlMs" | "registeredAt" | "incarnation"> {
  /**
   * The address consumers are told.
   *
   * @default `MCP_ADVERTISE_HOST`, `POD_IP`, the address this machine uses towards the registry, its first interface
   */
  readonly host?: string;
  /** How long the registration lives without a heartbeat, in milliseconds. @default 30_000, the spec's */
  readonly ttlMs?: number;
  /** For tests. @default the real clock */
  readonly clock?: Clock;
  /** For tests. @default Math.random */
  readonly random?: Random;
}

/** What an agent may change while it is registered. */
export type AgentUpdate = Partial<Pick<InstanceInput, "weight" | "zone" | "version" | "tags" | "metadata">> & {
  readonly status?: DeclaredStatus;
};

/** Where an agent stands. */
export type AgentState = "idle" | "registering" | "registered" | "lost" | "draining" | "stopped";

/** What can befall a registration. Each event carries one object, so that fields can be added later. */
export type AgentEvents = {
  /** The registry took us in: at the start, and whenever a lost lease was won back. */
  registered(event: { lease: Lease; attempt: number; restored: boolean }): void;
  /** A try to register failed; the next one follows. */
  registerFailed(event: { cause: DiscoveryError; attempt: number; retryInMs: number }): void;
  /** A heartbeat went unanswered; the next one follows soon. */
  beatMissed(event: { lease: Lease; cause: DiscoveryError }): void;
  /** The lease is gone: consumers cannot see us. We are registering again by ourselves. */
  lost(event: { lease: Lease; cause: DiscoveryError }): void;
  /** Another process has taken our id on our address. We give way for a while. */
  conflict(event: { cause: DiscoveryError }): void;
  /** We asked for no new calls, and keep the lease. */
  draining(event: { instance: ServiceInstance }): void;
  /** We left. */
  stopped(event: { deregistered: boolean }): void;
};

/** What the roof hands an agent: its registry, and what belongs to it. */
export interface AgentGround {
  readonly registrar: Registrar;
  /** Where the registry is, if that is known; helps to choose an address. */
  readonly registryHost: string | undefined;
  /** Lets go of the registry, if it is the agent's own. */
  readonly release: () => Promise<void>;
}

/**
 * Checks what can be checked before anything is started: a wrong option fails at once, not at the first outage.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`, naming the option
 */
export function checkedOptions(given: unknown): AgentOptions {
  if (typeof given !== "object" || given === null) throw invalid("agent", given, "an object of options");
  knownKeys("agent", given, KEYS);
  const options = given as AgentOptions;
  serviceName("agent.service", options.service);
  defineInstance({ ...options, host: options.host ?? "127.0.0.1" }, "agent");
  return options;
}
