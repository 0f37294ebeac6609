import type { EjectionCause } from "../endpoint/ejection.js";
import type { DiscoveryError } from "../model/errors.js";
import type { ServiceInstance } from "../model/instance.js";
import type { Difference, Snapshot } from "../model/update.js";

/** What can befall a service in a consumer's eyes. */
export type ServiceEvents = {
  /** Its instances differ from before. */
  changed(event: { snapshot: Snapshot; difference: Difference }): void;
  /** The registry has not confirmed the list for `staleAfterMs`; it is served all the same. */
  stale(event: { snapshot: Snapshot; cause: DiscoveryError | undefined }): void;
  /** The registry confirms the list again. */
  fresh(event: { snapshot: Snapshot }): void;
  /** The registry took instances away without anybody's decision. They stay, ranked below the healthy, and are probed. */
  suspected(event: { instances: readonly ServiceInstance[] }): void;
  /** Doubts are over: these are listed again, and those have left for good, or have failed as the registry said. */
  cleared(event: { back: readonly ServiceInstance[]; gone: readonly ServiceInstance[] }): void;
  /** An instance was taken out of rotation because of what calls to it met. */
  ejected(event: { instance: ServiceInstance; cause: EjectionCause; pauseMs: number }): void;
  /** An ejected instance proved itself and is back in rotation. */
  readmitted(event: { instance: ServiceInstance }): void;
  /** So many are ejected that ejections are ignored. */
  panic(event: { service: string }): void;
  /** Ejections count again. */
  calm(event: { service: string }): void;
};
