import type { InstanceStatus, ServiceInstance } from "../model/instance.js";
import { Emitter } from "../runtime/emitter.js";

/** An instance that failed, as it was last listed. */
export interface InstanceFailure {
  readonly instance: ServiceInstance;
  /** Its beats stopped, or probes failed. */
  readonly reason: "expired" | "probe_failed";
  /** How many instances of its service are still listed. */
  readonly left: number;
}

/** What can befall a memory registry's instances. */
export type MemoryRegistryEvents = {
  /** An instance is no longer listed, and did not say goodbye. */
  failed(event: InstanceFailure): void;
  /** An instance is as good as before: listed again after it had failed, or healthy after it was unstable. */
  recovered(event: { readonly instance: ServiceInstance; readonly from: "unstable" | "failed" }): void;
  /** An instance gets calls only if no healthy one is left: a beat is late, or probes are slow. */
  unstable(event: { readonly instance: ServiceInstance; readonly why: "beat" | "probe" }): void;
  /** More leases of a service ended at once than is plausible: these stay listed as suspects. */
  preserved(event: { readonly service: string; readonly suspects: number; readonly listed: number }): void;
  /** A service has no more suspects: so many came back, so many went. */
  released(event: { readonly service: string; readonly returned: number; readonly gone: number }): void;
  /** The snapshot could not be written, and will be tried again; or was not used, and the registry started empty. */
  snapshotFailed(event: { readonly path: string; readonly during: "read" | "write"; readonly error: Error }): void;
};

/** How often what has happened, since the registry was made. */
export interface MemoryRegistryCounters {
  readonly registered: number;
  readonly renewed: number;
  readonly updated: number;
  readonly deregistered: number;
  /** Registrations that took the place of an earlier one of the same id. */
  readonly replaced: number;
  /** Registrations refused with `ID_CONFLICT`. */
  readonly conflicts: number;
  /** Times an instance turned `unstable`. */
  readonly unstable: number;
  readonly recovered: number;
  readonly expired: number;
  readonly probeFailed: number;
  /** Leases that were over and kept as suspects. */
  readonly preserved: number;
  /** Leases read from a snapshot. */
  readonly restored: number;
}

/** Keeps a memory registry's accounts, and tells whoever listens. Unheard, an event is not made. */
export class MemoryReports extends Emitter<MemoryRegistryEvents> {
  readonly counters: { -readonly [K in keyof MemoryRegistryCounters]: number } = {
    registered: 0,
    renewed: 0,
    updated: 0,
    deregistered: 0,
    replaced: 0,
    conflicts: 0,
    unstable: 0,
    recovered: 0,
    expired: 0,
    probeFailed: 0,
    preserved: 0,
    restored: 0,
  };

  tellFailed(instance: ServiceInstance, reason: InstanceFailure["reason"], left: number): void {
    if (this.heard("failed")) this.emit("failed", { instance, reason, left });
  }

  /** What a listed instance's new status means. */
  tellStatus(from: InstanceStatus, instance: ServiceInstance, why: "beat" | "probe"): void {
    if (from === "failed" || (from === "unstable" && instance.status === "healthy")) this.tellRecovered(instance, from);
    if (instance.status !== "unstable" || from === "unstable") return;
    this.counters.unstable++;
    if (this.heard("unstable")) this.emit("unstable", { instance, why });
  }

  tellRecovered(instance: ServiceInstance, from: "unstable" | "failed"): void {
    this.counters.recovered++;
    if (this.heard("recovered")) this.emit("recovered", { instance, from });
  }

  tellPreserved(service: string, suspects: number, listed: number): void {
    if (this.heard("preserved")) this.emit("preserved", { service, suspects, listed });
  }

  tellReleased(service: string, returned: number, gone: number): void {
    if (this.heard("released")) this.emit("released", { service, returned, gone });
  }

  /** Whoever asked for a snapshot must hear that there is none. */
  tellSnapshotFailed(path: string, during: "read" | "write", error: Error): void {
    if (this.heard("snapshotFailed")) this.emit("snapshotFailed", { path, during, error });
    else
      process.emitWarning(`The snapshot ${path}: ${during} failed: ${error.message}`, { code: "DISCOVERY_SNAPSHOT" });
  }
}
