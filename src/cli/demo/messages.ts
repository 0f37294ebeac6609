import type { Lease } from "../../registry/registry.js";

/** What a provider tells the conductor, whenever it has registered. */
export interface ProviderReady {
  readonly type: "ready";
  readonly lease: Lease;
}

/** What the consumer saw of one instance. Moments are wall-clock milliseconds of this machine. */
export interface SeenInstance {
  readonly id: string;
  /** As the registry tells it, or `ejected` if calls told otherwise, or `gone`. */
  readonly status: string;
  /** Which life of it the consumer's list holds; 0 if none. */
  readonly incarnation: number;
  readonly calls: number;
  readonly latencyMs: number | undefined;
  readonly firstAt: number | undefined;
  /** The last call that went there, answered or not; trials do not count. */
  readonly lastAt: number | undefined;
  /** Calls that asked whether an ejected one may come back, in vain. */
  readonly trials: number;
}

/** What the consumer tells the conductor a few times a second. */
export interface ConsumerReport {
  readonly type: "report";
  readonly calls: number;
  readonly failures: number;
  readonly lastFailure: string | undefined;
  readonly instances: readonly SeenInstance[];
}

/** The consumer tells that a registry which began anew lists everybody again. */
export interface Visible {
  readonly type: "visible";
  /** Wall-clock milliseconds of this machine. */
  readonly at: number;
}
