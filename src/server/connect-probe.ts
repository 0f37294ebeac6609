import type { ServiceInstance } from "../model/instance.js";
import { connecting, type ProbeMeans } from "./probe.js";
import { type ProbeRules, type ProbeTarget, probeTarget } from "./probe-target.js";

/** Whether somebody listens where an instance should be. Its signal ends it; it never rejects. */
export type ConnectProbe = (instance: ServiceInstance, signal: AbortSignal) => Promise<"alive" | "refused" | "unknown">;

/** What a connect probe may reach. */
export interface ConnectProbeOptions extends ProbeMeans {
  readonly rules: ProbeRules;
  /** Whether instances may be on this machine: true where only this machine can register. */
  readonly local: boolean;
}

/** For a registry that doubts an instance: a refused connection is evidence, a silence is none. */
export function connectProbe({ rules, local, ...means }: ConnectProbeOptions): ConnectProbe {
  return async (instance, signal) => {
    let target: ProbeTarget;
    try {
      target = probeTarget("probe", instance, "/", { rules, local });
    } catch {
      return "unknown"; // not to be looked at
    }
    const { seen } = await connecting(target, means, signal);
    return seen === "alive" || seen === "refused" ? seen : "unknown";
  };
}
