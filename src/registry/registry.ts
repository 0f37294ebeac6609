import type { HealthCheck } from "../model/health-check.js";
import type { DeclaredStatus, InstanceStatus, ServiceInstance } from "../model/instance.js";
import type { Position, RegistryUpdate } from "../model/update.js";

export type { HealthCheck } from "../model/health-check.js";

/** What a registry can and cannot do. A lack is declared here, never discovered by failure. */
export interface Capabilities {
  /** How a change arrives: pushed at once, by a held request, by asking again and again, or not at all. */
  readonly watch: "stream" | "long-poll" | "poll" | "none";
  /** What keeps a registration: renewals, or nothing (the source is read-only). */
  readonly lease: "heartbeat" | "none";
  /** Whether removals say why. */
  readonly reasons: boolean;
  /** Whether it tells a registry that forgot (new epoch) from one that changed. */
  readonly epoch: boolean;
  /** Whether it tells a service without instances from a name it never heard. */
  readonly absence: boolean;
  /**
   * Whether a deregistration can wait until the watching consumers have taken note of it. Without that an agent that
   * leaves can only wait for a time.
   */
  readonly acks?: boolean | undefined;
  /** After that long without any update, in milliseconds, the watch is taken for dead and opened again. */
  readonly quietMs: number;
}

/** What every call to a registry takes: the signal that ends it. */
export interface CallOptions {
  readonly signal: AbortSignal;
}

/** What a resolver needs of a registry. */
export interface Discovery {
  readonly name: string;
  /** The host it is on, if it is on one. */
  readonly host?: string | undefined;
  readonly capabilities: Capabilities;
  /** Of several as one: the name of the registry that is read while a preferred one is away. */
  readonly fallback?: string | undefined;
  /** The instances of a service; `current` if nothing changed after `since`. */
  list(service: string, options: CallOptions & { readonly since?: Position | undefined }): Promise<RegistryUpdate>;
  /** Changes as they happen, beginning with whatever differs from `since`. Throws when it is cut. */
  watch?(
    service: string,
    options: CallOptions & { readonly since?: Position | undefined },
  ): AsyncIterable<RegistryUpdate>;
  /** The names it knows. */
  services?(options: CallOptions): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** What a registry grants for a time. Plain data: any process that holds it may renew it. */
export interface Lease {
  /** Opaque and unguessable: whoever holds it may renew, change and end the registration. */
  readonly id: string;
  readonly instance: ServiceInstance;
  /** The registry's answer, in milliseconds; it may differ from what was asked. */
  readonly ttlMs: number;
  /** How often the registry wants a heartbeat, in milliseconds. */
  readonly heartbeatMs: number;
  readonly epoch?: string | undefined;
  /** Whether it took the place of an earlier registration of the same id on the same address. */
  readonly replaced?: boolean | undefined;
}

/** One heartbeat. */
export interface Beat {
  readonly lease: Lease;
  readonly status?: DeclaredStatus | undefined;
  /** How busy the instance is, 0 to 1. */
  readonly load?: number | undefined;
}

/** The registry's answer to heartbeats. */
export interface Renewal {
  /** Leases it no longer knows, and why; all others live on. */
  readonly unknown: readonly { readonly lease: Lease; readonly reason?: string | undefined }[];
  /**
   * What the registry publishes of the leases that live on, by lease id, where it tells. A lease that is not named is
   * published `healthy`: all being well, nothing has to be made for an answer.
   */
  readonly statuses?: ReadonlyMap<string, InstanceStatus> | undefined;
  readonly heartbeatMs?: number | undefined;
  readonly epoch?: string | undefined;
}

/** How new it is what somebody tells of an instance. */
export interface Edition {
  /**
   * Counts what one holder has told so far: what comes with a lower number than was heard of it already came late, and
   * changes nothing.
   *
   * @default it is believed
   */
  readonly edition?: number | undefined;
}

/** What a registration takes. */
export interface RegisterOptions extends CallOptions, Edition {
  /** How long it lives without a heartbeat, in milliseconds; the registry's answer holds. */
  readonly ttlMs: number;
  /** Asks the registry to probe the instance, where it can. @default no probes */
  readonly health?: HealthCheck | undefined;
  /**
   * Whether it must be able to die alone: whoever registers speaks for others, each with heartbeats of its own.
   *
   * @default false: the registrations of one value belong to one process, and may live and die together
   */
  readonly alone?: boolean | undefined;
  /**
   * Names whoever registers: as unguessable as a lease, and the same as long as it lives. Its registration that comes
   * again, doubled or late, goes on with the lease it has, and does not come back once it has left or been replaced.
   *
   * @default every registration counts as another holder's
   */
  readonly holder?: string | undefined;
}

/** What came of a deregistration: how many watching consumers have taken note of it. */
export interface Deregistration {
  readonly acked?: number | undefined;
  readonly waiting?: number | undefined;
}

/** What an agent needs of a registry. */
export interface Registrar {
  readonly name: string;
  /** The host it is on, if it is on one: helps an agent to choose its own address. */
  readonly host?: string | undefined;
  readonly capabilities: Capabilities;
  /** Idempotent: the same id on the same address replaces its own earlier registration. */
  register(instance: ServiceInstance, options: RegisterOptions): Promise<Lease>;
  renew(beats: readonly Beat[], options: CallOptions): Promise<Renewal>;
  /** Changes what consumers are told; registers again where a registry knows no update. */
  update(lease: Lease, instance: ServiceInstance, options: CallOptions & Edition): Promise<Lease>;
  /** Idempotent. With `waitMs`, waits that long for the consumers to take note, where the registry can. */
  deregister(lease: Lease, options: CallOptions & { readonly waitMs?: number | undefined }): Promise<Deregistration>;
  close(): Promise<void>;
}

/** Both halves. A source that only lists (DNS, a static list) is no {@link Registrar}: the compiler says so. */
export type Registry = Discovery & Registrar;

/**
 * A registry in a store that several servers may share: each of them can honour the leases that the others passed on,
 * because they know a secret to recognise them by, and the store knows the rest.
 */
export interface SharedRegistry extends Registry {
  /** Known to all who share the store, and to nobody else; made by whoever asks first. */
  secret(options: CallOptions): Promise<string>;
  /** What the store holds of a lease now; undefined once it has ended. Of the instance, service and id must be known. */
  held(lease: Lease, options: CallOptions): Promise<Lease | undefined>;
}

/** Whether other servers may share what stands behind a registry. */
export function isShared(registry: Registry): registry is SharedRegistry {
  return "secret" in registry && "held" in registry;
}

/** Tells the two apart at run time, for values whose type is not known. */
export function isRegistrar(registry: Discovery | Registrar): registry is Registrar {
  return "register" in registry && typeof registry.register === "function";
}
