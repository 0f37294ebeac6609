import type { AddressInfo } from "node:net";
import { DiscoveryError } from "../model/errors.js";
import { defineInstance, type ServiceInstance } from "../model/instance.js";
import type { Scope } from "../runtime/clock.js";
import { RECONNECT } from "../runtime/retry.js";
import type { AdvertisedAddress } from "./address.js";
import type { AgentOptions } from "./agent-options.js";
import { asWorker, workerNumber } from "./cluster-worker.js";
import { type FailedTry, patiently } from "./patience.js";
import { addressOfThisMachine } from "./route.js";

/** What is known of where this process can be called, beside its options. */
export interface Whereabouts {
  /** What the attached server is bound to. */
  readonly bound: Partial<AddressInfo> | undefined;
  readonly registryHost: string | undefined;
}

/** What consumers shall be told of this process. */
export interface Description {
  readonly instance: ServiceInstance;
  readonly address: AdvertisedAddress;
}

/**
 * Works out what consumers shall be told. A machine that has no address yet may still get one: `failed` hears of it.
 *
 * @throws {DiscoveryError} `INVALID_OPTION` · the scope's reason
 */
export async function described(
  { host: option, port: given, ...rest }: AgentOptions,
  { bound, registryHost }: Whereabouts,
  scope: Scope,
  failed: (failure: FailedTry) => void,
): Promise<Description> {
  const port = given ?? bound?.port;
  if (port === undefined) {
    throw new DiscoveryError("INVALID_OPTION", "agent.port is missing: give it, or attach a server that has one", {
      field: "agent.port",
    });
  }
  const find = (): Promise<AdvertisedAddress> =>
    addressOfThisMachine({ option, bound: bound?.address, registryHost }, scope);
  const isFinal = (error: unknown): boolean => DiscoveryError.is(error, "INVALID_OPTION");
  const address = await patiently(scope, RECONNECT, find, failed, isFinal);
  const instance = defineInstance({ ...rest, host: address.host, port, ttlMs: undefined }, "agent");
  return { address, instance: rest.id === undefined ? asWorker(instance, workerNumber()) : instance };
}
