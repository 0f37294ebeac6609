import type { IncomingHttpHeaders } from "node:http";
import type { Dispatcher } from "undici";
import { type Shelf, shelf } from "../consumer/last-known.js";
import { Resolver } from "../consumer/resolver.js";
import type { Probe } from "../consumer/suspicion.js";
import { invalid, numberIn, serviceName } from "../model/fields.js";
import { inTurns } from "../registry/in-turns.js";
import type { Discovery } from "../registry/registry.js";
import { type Clock, type Random, systemClock, systemRandom } from "../runtime/clock.js";
import { knock } from "../runtime/knock.js";
import { LagWatch } from "../runtime/lag.js";
import { durationMs, functionOr, knownKeys } from "../runtime/options.js";
import { isHeaderName } from "../runtime/request-headers.js";
import { RETRY_HEADER, retryHeadersIn } from "./again.js";
import type { Ground } from "./caller.js";
import { Deadlines } from "./deadlines.js";
import { ServiceDispatcher } from "./dispatcher.js";
import { serviceInterceptor } from "./interceptor.js";
import { type ClientOptions, hostRule } from "./options.js";
import { Pools } from "./pools.js";
import { ServiceClient, type WarmupOptions } from "./service-client.js";
import { ServiceNames } from "./service-names.js";
import {
  type CheckedService,
  routingIn,
  SERVICE_KEYS,
  type ServiceOptions,
  STANDARD,
  serviceSettings,
} from "./service-options.js";

const DAY_MS = 86_400_000;
/** Lists asked for at the same time: as many as the registry client has sockets. */
const LISTS_AT_ONCE = 64;
const KEYS = [
  ...SERVICE_KEYS,
  ...["services", "refreshMs", "staleAfterMs", "idleMs", "waitMs", "maxServices"],
  ...["hosts", "connections", "authority", "retryHeader", "snapshotDir", "probe", "clock", "random"],
];

/** How a resolver works; the registry apart, everything has a default. */
export interface ResolverClientOptions extends ServiceOptions, ClientOptions {
  /** Options for single services, by name; they go before the ones for all. */
  readonly services?: Readonly<Record<string, ServiceOptions>>;
  /** Time between two pulls beside the watch, in milliseconds, give or take a tenth. @default 30_000, the spec's */
  readonly refreshMs?: number;
  /** After that long without a word from the registry a list is called stale, in milliseconds. @default 60_000 */
  readonly staleAfterMs?: number;
  /**
   * A service nobody has called for that long is no longer watched, in milliseconds; its next call revives it.
   *
   * @default 600_000, the spec's
   */
  readonly idleMs?: number;
  /** How long a call waits for the first list, in milliseconds. @default 5_000 */
  readonly waitMs?: number;
  /** Services kept up to date at once; beyond that the least used are suspended. @default 1_000, the spec's */
  readonly maxServices?: number;
  /**
   * A folder in which lists outlive this process: restarted while no registry answers, it calls whom it knew last, for a
   * day. Files are for their owner alone; what others own or could write is ignored.
   *
   * @default none
   */
  readonly snapshotDir?: string;
  /**
   * Finds out whether a doubted instance lives: `alive`, `refused` or `unknown`.
   *
   * @default opens a TCP connection and closes it again
   */
  readonly probe?: Probe;
  /** For tests. @default the real clock */
  readonly clock?: Clock;
  /** For tests. @default Math.random */
  readonly random?: Random;
}

/** Services by name, and the ways to call them. */
export class ResolverClient extends Resolver<ServiceClient> {
  readonly #ground: Ground;
  readonly #names: ServiceNames;
  readonly #dispatcher: ServiceDispatcher;
  readonly #release: () => Promise<void>;
  readonly #shelf: Shelf | undefined;

  /** @internal Use `createResolver()`. `release` lets go of the registry, if it is the resolver's own. */
  constructor(source: Discovery, options: ResolverClientOptions, release: () => Promise<void>) {
    knownKeys("resolver", options, KEYS);
    const clock = options.clock ?? systemClock;
    const random = functionOr("resolver.random", options.random, systemRandom);
    const ground = groundFor(options, clock, random);
    const lists = shelfFor(options.snapshotDir, source, clock);
    const common = {
      source: inTurns(source, LISTS_AT_ONCE),
      shelf: lists,
      probe: functionOr("resolver.probe", options.probe, knock),
      clock,
      random,
      refreshMs: durationMs("resolver.refreshMs", options.refreshMs, 30_000, 100, DAY_MS),
      staleAfterMs: durationMs("resolver.staleAfterMs", options.staleAfterMs, 60_000, 100, DAY_MS),
      idleMs: durationMs("resolver.idleMs", options.idleMs, 600_000, 1_000, DAY_MS),
      waitMs: durationMs("resolver.waitMs", options.waitMs, 5_000, 0, DAY_MS),
    };
    const defaults = serviceSettings("resolver", options, STANDARD);
    const perService = servicesIn(options, defaults);
    super({
      maxServices: durationMs("resolver.maxServices", options.maxServices, 1_000, 1, 1_000_000),
      settingsFor: (name) => ({ ...common, ...(perService.get(name) ?? defaults) }),
      create: (name, settings) => new ServiceClient(name, settings, ground, perService.get(name) ?? defaults),
    });
    this.#ground = ground;
    this.#release = release;
    this.#shelf = lists;
    this.#names = new ServiceNames(hostRule("resolver.hosts", options.hosts));
    this.#dispatcher = new ServiceDispatcher((name) => this.service(name), this.#names);
  }

  /** An undici dispatcher that goes by service name; other hosts pass through. Always the same one. */
  dispatcher(): ServiceDispatcher {
    return this.#dispatcher;
  }

  /** The same for those who compose: `new Agent().compose(resolver.interceptor())`; costs a few percent more. */
  interceptor(): Dispatcher.DispatcherComposeInterceptor {
    return serviceInterceptor((name) => this.service(name), this.#names);
  }

  /**
   * Resolves when each of these services can be called, so that the first call need not wait: lists are fetched, and
   * with `connections` one connection to each usable instance is opened besides.
   *
   * @throws {DiscoveryError} as `service.ready()`, for the first that cannot be called · the signal's own reason
   */
  async warmup(names: readonly string[], options: WarmupOptions = {}): Promise<void> {
    await Promise.all(names.map((name) => this.service(name).warmup(options)));
  }

  /**
   * What to pass on when a request that came in leads to others: `orders.fetch("/", { headers:
   * resolver.retryHeaders(request.headers) })`. Empty unless the request is itself a retry; the calls it leads to are then
   * not sent again, so that retries do not multiply down a chain of services.
   */
  retryHeaders(incoming: IncomingHttpHeaders | Headers): Record<string, string> {
    const { retryHeader } = this.#ground;
    return retryHeader === undefined ? {} : retryHeadersIn(incoming, retryHeader);
  }

  /** Node's own `fetch` by service name: `resolver.fetch("http://orders/v1/orders/42")`. */
  fetch(url: string | URL, init: RequestInit = {}): Promise<Response> {
    return fetch(url, { ...init, dispatcher: this.#dispatcher } as unknown as RequestInit);
  }

  protected override async closeAll(): Promise<void> {
    await super.closeAll();
    this.#ground.deadlines.close();
    this.#ground.hedges.close();
    await Promise.all([this.#ground.pools.close(), this.#dispatcher.destroy(), this.#shelf?.close()]);
    await this.#release();
  }
}

function shelfFor(folder: unknown, source: Discovery, clock: Clock): Shelf | undefined {
  if (folder === undefined) return undefined;
  if (typeof folder !== "string" || folder === "") throw invalid("resolver.snapshotDir", folder, "a folder's path");
  const failed = (error: unknown): void => process.emitWarning(String(error), { code: "DISCOVERY_SNAPSHOT" });
  return shelf({ folder, registry: source.name, clock, failed });
}

function retryHeaderFrom(path: string, given: string | false | undefined): string | undefined {
  if (given === false) return undefined;
  if (given === undefined) return RETRY_HEADER;
  if (!isHeaderName(given)) throw invalid(path, given, "the name of a header, or false");
  return given.toLowerCase();
}

function groundFor(options: ClientOptions, clock: Clock, random: Ground["random"]): Ground {
  const { connections = 128, authority = "instance" } = options;
  numberIn("resolver.connections", connections, 1, 65_535, true);
  if (authority !== "instance" && authority !== "service") {
    throw invalid("resolver.authority", authority, '"instance" or "service"');
  }
  const pools = new Pools({ connections, authority, clock });
  const retryHeader = retryHeaderFrom("resolver.retryHeader", options.retryHeader);
  return {
    pools,
    deadlines: new Deadlines(clock),
    hedges: new Deadlines(clock),
    retryHeader,
    lag: new LagWatch(clock),
    clock,
    random,
  };
}

/** Checks everything at once: a mistake in a rarely used service must not wait for its first call. */
function servicesIn(options: ResolverClientOptions, defaults: CheckedService): ReadonlyMap<string, CheckedService> {
  const { services = {} } = options;
  if (typeof services !== "object" || services === null) throw invalid("resolver.services", services, "an object");
  const checked = new Map<string, CheckedService>();
  for (const [given, own] of Object.entries(services)) {
    const path = `resolver.services.${given}`;
    const name = serviceName(path, given);
    knownKeys(path, own, SERVICE_KEYS);
    checked.set(name, serviceSettings(path, { ...routingIn(options), ...own }, defaults));
  }
  return checked;
}
