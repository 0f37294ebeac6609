import { ResolverClient, type ResolverClientOptions } from "./client/resolver-client.js";
import { connect } from "./connect.js";
import { DiscoveryError } from "./model/errors.js";
import { Agent } from "./provider/agent.js";
import { type AgentOptions, checkedOptions } from "./provider/agent-options.js";
import { type Discovery, isRegistrar, type Registrar } from "./registry/registry.js";

/** What `createAgent` takes. */
export interface CreateAgentOptions extends AgentOptions {
  /** A URL, or an adapter's value. @default the environment's `MCP_REGISTRY_URL` */
  readonly registry?: string | Registrar;
}

/** What `createResolver` takes. */
export interface CreateResolverOptions extends ResolverClientOptions {
  /** A URL, or an adapter's value. @default the environment's `MCP_REGISTRY_URL` */
  readonly registry?: string | Discovery;
}

/**
 * Makes the agent of a provider. It does nothing before `start()`.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`, naming the option
 */
export function createAgent(options: CreateAgentOptions): Agent {
  const { registry, ...rest } = options;
  checkedOptions(rest); // before a connection is made
  const connection = connect<Registrar>("agent.registry", registry);
  if (!isRegistrar(connection.registry)) {
    throw new DiscoveryError("UNSUPPORTED", "agent.registry only lists instances: nobody can register with it", {
      field: "agent.registry",
    });
  }
  const { registry: registrar, host: registryHost, release } = connection;
  return new Agent(rest, { registrar, registryHost, release });
}

/**
 * Makes the resolver of a consumer. It does nothing before the first service is asked for.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`, naming the option
 */
export function createResolver(options: CreateResolverOptions = {}): ResolverClient {
  const { registry, ...rest } = options;
  const connection = connect<Discovery>("resolver.registry", registry);
  return new ResolverClient(connection.registry as Discovery, rest, connection.release);
}

export { type FileOptions, fileRegistry } from "./adapters/file.js";
export { type HttpOptions, http } from "./adapters/http.js";
export { staticRegistry } from "./adapters/static.js";
export { type AdaptiveOptions, adaptive } from "./balancer/adaptive.js";
export type { Balancer, PickContext, Picker } from "./balancer/balancer.js";
export { type BalancerName, balancerNamed } from "./balancer/by-name.js";
export { type BoundedLoadOptions, type ConsistentHashOptions, consistentHash } from "./balancer/consistent-hash.js";
export { type LatencyWeightedOptions, latencyWeighted } from "./balancer/latency-weighted.js";
export { leastRequests } from "./balancer/least-requests.js";
export { random } from "./balancer/random.js";
export type { HashKey, KeyedRequest, KeyReader, KeyRule } from "./balancer/request-key.js";
export { roundRobin } from "./balancer/round-robin.js";
export type { ServiceDispatcher } from "./client/dispatcher.js";
export type { HedgeOptions } from "./client/hedging.js";
export type {
  CallDefaults,
  CallOptions,
  ClientOptions,
  HostRule,
} from "./client/options.js";
export type { ResolverClient, ResolverClientOptions } from "./client/resolver-client.js";
export type {
  ServiceClient,
  ServiceFetchInit,
  ServiceRequestOptions,
  WarmupOptions,
} from "./client/service-client.js";
export type { ServiceOptions } from "./client/service-options.js";
export type { Change } from "./consumer/changes.js";
export type { Evidence, MassLossOptions } from "./consumer/doubt.js";
export type { ExplainedInstance, Explanation } from "./consumer/explanation.js";
export type { Resolver } from "./consumer/resolver.js";
export type { RoutingOptions } from "./consumer/routing.js";
export type { Selection } from "./consumer/selection.js";
export type { Service } from "./consumer/service.js";
export type { ServiceEvents } from "./consumer/service-events.js";
export type { PickOptions, ReadyOptions } from "./consumer/service-settings.js";
export type { Expectation, Shadow, ShadowReport } from "./consumer/shadow.js";
export type { Probe } from "./consumer/suspicion.js";
export type { EjectionCause, EjectionOptions } from "./endpoint/ejection.js";
export type { Endpoint, Outcome } from "./endpoint/endpoint.js";
export type { Load } from "./endpoint/load.js";
export type { SharedLoad } from "./endpoint/shared-load.js";
export {
  DiscoveryError,
  type ErrorCode,
  type ErrorDetails,
} from "./model/errors.js";
export type {
  DeclaredStatus,
  InstanceInput,
  InstanceStatus,
  Protocol,
  ServiceInstance,
} from "./model/instance.js";
export { defineInstance } from "./model/instance.js";
export type {
  Difference,
  Position,
  RegistryUpdate,
  Removal,
  RemovalReason,
  Snapshot,
} from "./model/update.js";
export type { AddressCandidate, AddressOrigin, AdvertisedAddress } from "./provider/address.js";
export type { Agent } from "./provider/agent.js";
export type { AgentEvents, AgentState, Farewell } from "./provider/agent-events.js";
export type { AgentOptions, AgentUpdate } from "./provider/agent-options.js";
export type { AttachOptions } from "./provider/attach-options.js";
export type { HealthHandler, HealthOptions } from "./provider/health.js";
export { type LoadReportOptions, reportLoad } from "./provider/load-report.js";
export type { ReadyCheck } from "./provider/readiness.js";
export {
  type CompareOptions,
  compareRegistries,
  type FieldDifference,
  type RegistryComparison,
  type ServiceComparison,
} from "./registry/compare.js";
export { failover } from "./registry/failover.js";
export { memoryRegistry } from "./registry/memory.js";
export type { InstanceFailure, MemoryRegistryCounters, MemoryRegistryEvents } from "./registry/memory-events.js";
export type {
  CheckedLease,
  LeaseSnapshotOptions,
  MemoryRegistry,
  MemoryRegistryOptions,
} from "./registry/memory-options.js";
export { merge } from "./registry/merge.js";
export { type PollingOptions, polling } from "./registry/polling.js";
export type {
  Beat,
  CallOptions as RegistryCallOptions,
  Capabilities,
  Deregistration,
  Discovery,
  HealthCheck,
  Lease,
  RegisterOptions,
  Registrar,
  Registry,
  Renewal,
} from "./registry/registry.js";
export type { ObservedStatus } from "./registry/status.js";
export type { SuspectProbe, SuspectVerdict } from "./registry/suspect-probes.js";
export type { Clock, Random } from "./runtime/clock.js";
