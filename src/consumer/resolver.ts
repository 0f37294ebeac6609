import { LRUCache } from "lru-cache";
import type { Balancer } from "../balancer/balancer.js";
import type { BalancerName } from "../balancer/by-name.js";
import { DiscoveryError } from "../model/errors.js";
import { serviceName } from "../model/fields.js";
import type { Explanation } from "./explanation.js";
import type { Service } from "./service.js";
import type { ServiceSettings } from "./service-settings.js";

/** Names nobody knows yet that are asked about at once; beyond that the least recently asked for are suspended. */
const MAX_STRANGERS = 256;
/** More than so many look like a flood of invented names: each is then asked about once, and watched only if it lasts. */
const TRUSTED_STRANGERS = 32;
const STRANGER_MS = 1_000;

/** How a resolver makes and bounds its services. */
export interface ResolverSettings<S extends Service> {
  /** How many services are kept up to date at once; the least recently asked for are suspended beyond that. */
  readonly maxServices: number;
  /** What each service is made of; options given for a service up front are in it already. */
  readonly settingsFor: (name: string) => Omit<ServiceSettings, "becameKnown" | "strangerMs">;
  readonly create: (name: string, settings: ServiceSettings) => S;
}

/**
 * Services by name: one handle per name, however often it is asked for. A handle outlives its place among the
 * watched: it is then suspended, and its next use revives it.
 */
export class Resolver<S extends Service = Service> implements AsyncDisposable {
  readonly #settings: ResolverSettings<S>;
  readonly #watched: LRUCache<string, S>;
  /** Names the registry has not yet been heard to know: a flood of invented ones must not push out those in use. */
  readonly #strangers: LRUCache<string, S>;
  readonly #suspended = new Map<string, WeakRef<S>>();
  readonly #collected = new FinalizationRegistry<string>((name) => this.#collect(name));
  #closing: Promise<void> | undefined;

  constructor(settings: ResolverSettings<S>) {
    this.#settings = settings;
    const dispose = (service: S, name: string, reason: LRUCache.DisposeReason): void => {
      if (reason === "evict") this.#suspend(service, name);
    };
    this.#watched = new LRUCache({ max: settings.maxServices, dispose });
    this.#strangers = new LRUCache({ max: Math.min(MAX_STRANGERS, settings.maxServices), dispose });
  }

  /**
   * The one handle of a service; it begins to learn about it at once.
   *
   * @throws {DiscoveryError} `INVALID_OPTION` if that is no service name, `CLOSED`
   */
  service(name: string): S {
    return this.#watched.get(name) ?? this.#find(serviceName("service", name));
  }

  /** Changes the balancer of one service from the next pick on; what was measured is kept. */
  setBalancer(name: string, balancer: Balancer | BalancerName): void {
    this.service(name).setBalancer(balancer);
  }

  /** Why a service's calls go where they go; see {@link Service.explain}. */
  explain(name: string): Explanation {
    return this.service(name).explain();
  }

  /** Ends every watch. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.closeAll();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Closes what this resolver holds; for whoever extends it and holds more. */
  protected async closeAll(): Promise<void> {
    const suspended = [...this.#suspended.values()].map((handle) => handle.deref());
    const all = [
      ...this.#watched.values(),
      ...this.#strangers.values(),
      ...suspended.filter((service) => service !== undefined),
    ];
    await Promise.all(all.map((service) => service.close()));
  }

  #find(name: string): S {
    if (this.#closing) throw new DiscoveryError("CLOSED", "This resolver was closed", { service: name });
    const held = this.#watched.get(name) ?? this.#strangers.get(name);
    if (held) return held;
    const service = this.#suspended.get(name)?.deref() ?? this.#create(name);
    this.#suspended.delete(name);
    (service.snapshot.state === "known" ? this.#watched : this.#strangers).set(name, service);
    service.resume();
    return service;
  }

  #create(name: string): S {
    const { create, settingsFor } = this.#settings;
    const strangerMs = this.#strangers.size < TRUSTED_STRANGERS ? 0 : STRANGER_MS;
    return create(name, { ...settingsFor(name), strangerMs, becameKnown: () => this.#promote(name) });
  }

  /** The registry knows the name after all. */
  #promote(name: string): void {
    const service = this.#strangers.peek(name);
    if (!service) return;
    this.#strangers.delete(name);
    this.#watched.set(name, service);
  }

  #suspend(service: S, name: string): void {
    service.suspend();
    this.#suspended.set(name, new WeakRef(service));
    this.#collected.register(service, name);
  }

  #collect(name: string): void {
    if (this.#suspended.get(name)?.deref() === undefined) this.#suspended.delete(name);
  }
}
