import { invalid, serviceName } from "../model/fields.js";
import { type DeclaredStatus, defineInstance, type InstanceInput } from "../model/instance.js";
import type { Registrar } from "../registry/registry.js";
import { type Clock, type Random, systemClock, systemRandom } from "../runtime/clock.js";
import { durationMs, functionOr, knownKeys } from "../runtime/options.js";
import type { HealthOptions } from "./health.js";
import { healthCheckOf } from "./health.js";
import type { ReadyCheck } from "./readiness.js";

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
  "drainMs",
  "readyWhen",
  "health",
  "clock",
  "random",
];

/** Who registers, and how. All durations in milliseconds. */
export interface AgentOptions
  extends Omit<InstanceInput, "host" | "port" | "status" | "ttlMs" | "registeredAt" | "incarnation"> {
  /** The port consumers are told. @default that of the attached server; without one it must be given */
  readonly port?: number;
  /**
   * The address consumers are told.
   *
   * @default `MCP_ADVERTISE_HOST`, `POD_IP`, the address the attached server is bound to, the one this machine uses
   * towards the registry, that of its first interface others can reach; `agent.address` tells the choice
   */
  readonly host?: string;
  /** How long the registration lives without a heartbeat. @default 30_000, the spec's */
  readonly ttlMs?: number;
  /**
   * How long `stop()` waits until consumers know that we left: at most, where the registry collects their
   * acknowledgements; exactly, where it does not. 0 does not wait.
   *
   * @default 5_000, as Kubernetes' usual preStop pause
   */
  readonly drainMs?: number;
  /**
   * Asked before the first registration, and again after a pause (0.5 to 5 s) until it passes once: by returning, or
   * resolving to, anything but `false`. What it throws is told by `readyFailed`. A check is given 30 s.
   */
  readonly readyWhen?: ReadyCheck;
  /**
   * Asks the registry to probe a path that this process serves itself, where it can: ours does, the others go by
   * heartbeats alone.
   *
   * @default no probes, unless `attach()` serves `/health`
   */
  readonly health?: boolean | HealthOptions;
  /** For tests. @default the real clock */
  readonly clock?: Clock;
  /** For tests. @default Math.random */
  readonly random?: Random;
}

/** What an agent may change while it is registered. */
export type AgentUpdate = Partial<Pick<InstanceInput, "weight" | "zone" | "version" | "tags" | "metadata">> & {
  readonly status?: DeclaredStatus;
};

/** What the roof hands an agent: its registry, and what belongs to it. */
export interface AgentGround {
  readonly registrar: Registrar;
  /** Where the registry is, if that is known; helps to choose an address. */
  readonly registryHost: string | undefined;
  /** Lets go of the registry, if it is the agent's own. */
  readonly release: () => Promise<void>;
}

/** What every agent needs to know, its defaults filled in. */
export interface AgentSettings {
  readonly options: AgentOptions;
  readonly ttlMs: number;
  readonly drainMs: number;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Checks what can be checked before anything is started: a wrong option fails at once, not at the first outage.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`, naming the option
 */
export function checkedOptions(given: unknown): AgentSettings {
  if (typeof given !== "object" || given === null) throw invalid("agent", given, "an object of options");
  knownKeys("agent", given, KEYS);
  const options = given as AgentOptions;
  serviceName("agent.service", options.service);
  const { host = "127.0.0.1", port = 1, readyWhen = () => true } = options;
  defineInstance({ ...options, host, port }, "agent");
  functionOr("agent.readyWhen", readyWhen, readyWhen);
  healthCheckOf("agent.health", options.health);
  return {
    options,
    ttlMs: durationMs("agent.ttlMs", options.ttlMs, 30_000, 3_000, 86_400_000),
    drainMs: durationMs("agent.drainMs", options.drainMs, 5_000, 0, 600_000),
    clock: options.clock ?? systemClock,
    random: functionOr("agent.random", options.random, systemRandom),
  };
}
