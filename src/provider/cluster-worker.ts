import cluster from "node:cluster";
import { type ServiceInstance, withFields } from "../model/instance.js";

/** Which worker of a `node:cluster` this process is; undefined in any other process. */
export function workerNumber(): number | undefined {
  return cluster.isWorker ? cluster.worker?.id : undefined;
}

/**
 * Workers share one address, and each has a life of its own: each is a record, so that capacity counts and one that dies
 * takes only itself away.
 */
export function asWorker(instance: ServiceInstance, worker: number | undefined): ServiceInstance {
  return worker === undefined ? instance : withFields(instance, { id: `${instance.id}#${worker}` });
}

/** A worker lives as long as its channel to the primary is open: whoever is to end must let go of it. */
export function leaveCluster(): void {
  if (cluster.isWorker && cluster.worker?.isConnected()) cluster.worker.disconnect();
}
