import type { Balancer } from "../balancer/balancer.js";
import type { BalancerName } from "../balancer/by-name.js";
import { type KeyRule, keyReader } from "../balancer/request-key.js";
import { roundRobin } from "../balancer/round-robin.js";
import { balancerFrom } from "../consumer/balancer-from.js";
import { MASS_LOSS, type MassLossOptions } from "../consumer/doubt.js";
import { ANYWHERE, ROUTING_KEYS, type Routing, type RoutingOptions, routingFrom } from "../consumer/routing.js";
import { EJECTION, type EjectionOptions } from "../endpoint/ejection.js";
import { numberIn } from "../model/fields.js";
import { durationMs, knownKeys } from "../runtime/options.js";
import { type HedgeOptions, hedgeOptions } from "./hedging.js";
import { type CallDefaults, callSettings } from "./options.js";
import type { ClientSettings } from "./service-client.js";

const DAY_MS = 86_400_000;

/** What can be set for one service, or for all. */
export interface ServiceOptions extends CallDefaults, RoutingOptions {
  /** A balancer, or its name. @default roundRobin() */
  readonly balancer?: Balancer | BalancerName;
  /**
   * Where a call that names no `key` has its key from, for balancers that hash: `{ header: "x-user" }`, `{ cookie:
   * "sid" }`, `{ path: 2 }` or a function. Not looked at while no balancer uses keys.
   *
   * @default none: only calls that name a key have one
   */
  readonly key?: KeyRule;
  /**
   * Asks a second instance when the first takes longer than most calls do; the first answer wins, the other try is
   * ended. Only calls that may be sent twice, and within the retry budget.
   *
   * @default false; `true` waits for as long as 95 % of the service's calls take
   */
  readonly hedge?: boolean | HedgeOptions;
  /**
   * When a loss that nobody decided is doubted: the missing stay, ranked below the healthy, until they are listed again,
   * found dead, or one ttl has passed. For one ttl after an outage of the registry of half a ttl or more, any such loss
   * is doubted, and the missing are called as before unless nobody listens there. `false` obeys the registry whatever it
   * takes away.
   *
   * @default see {@link MassLossOptions}
   */
  readonly massLoss?: false | Partial<MassLossOptions>;
  /** When an endpoint is taken out of rotation. @default see {@link EjectionOptions} */
  readonly ejection?: Partial<EjectionOptions>;
}

/** The names of all options of {@link ServiceOptions}. */
export const SERVICE_KEYS: readonly string[] = [
  ...["balancer", "timeoutMs", "tryTimeoutMs", "tries", "ejection", "key", "hedge", "massLoss"],
  ...ROUTING_KEYS,
];

/** The same, checked, with all defaults filled in. */
export interface CheckedService extends ClientSettings {
  readonly balancer: Balancer;
  readonly routing: Routing;
  readonly ejection: EjectionOptions;
  readonly massLoss: MassLossOptions | undefined;
}

/** What holds where nothing is said. */
export const STANDARD: CheckedService = {
  balancer: roundRobin(),
  routing: ANYWHERE,
  ejection: EJECTION,
  massLoss: MASS_LOSS,
  calls: callSettings("resolver", {}),
  keyRule: undefined,
  hedge: undefined,
};

/** Fills in what is not given. @throws {DiscoveryError} `INVALID_OPTION`, naming the option */
export function serviceSettings(path: string, options: ServiceOptions, base: CheckedService): CheckedService {
  const { balancer } = options;
  return {
    balancer: balancer === undefined ? base.balancer : balancerFrom(`${path}.balancer`, balancer),
    routing: routingFrom(path, options),
    ejection: ejectionFrom(`${path}.ejection`, options.ejection, base.ejection),
    massLoss: massLossFrom(`${path}.massLoss`, options.massLoss, base.massLoss),
    calls: callSettings(path, options, base.calls),
    hedge: options.hedge === undefined ? base.hedge : hedgeOptions(`${path}.hedge`, options.hedge),
    keyRule: options.key === undefined ? base.keyRule : keyReader(`${path}.key`, options.key),
  };
}

/** The part of the options that says which instances are called. */
export function routingIn(options: RoutingOptions): RoutingOptions {
  return Object.fromEntries(ROUTING_KEYS.filter((key) => options[key] !== undefined).map((key) => [key, options[key]]));
}

function massLossFrom(
  path: string,
  given: ServiceOptions["massLoss"],
  base: MassLossOptions | undefined,
): MassLossOptions | undefined {
  if (given === undefined) return base;
  if (given === false) return undefined;
  knownKeys(path, given, Object.keys(MASS_LOSS));
  const { share, least, confirmMs } = { ...(base ?? MASS_LOSS), ...given };
  return {
    share: numberIn(`${path}.share`, share, 0, 1),
    least: numberIn(`${path}.least`, least, 1, 1_000_000, true),
    confirmMs: durationMs(`${path}.confirmMs`, confirmMs, MASS_LOSS.confirmMs, 0, DAY_MS),
  };
}

function ejectionFrom(
  path: string,
  given: Partial<EjectionOptions> | undefined,
  base: EjectionOptions,
): EjectionOptions {
  if (given === undefined) return base;
  knownKeys(path, given, Object.keys(EJECTION));
  const number = (name: keyof EjectionOptions, min: number, max: number, whole = false): number =>
    given[name] === undefined ? base[name] : numberIn(`${path}.${name}`, given[name], min, max, whole);
  const duration = (name: keyof EjectionOptions): number =>
    durationMs(`${path}.${name}`, given[name], base[name], 1, DAY_MS);
  return {
    consecutiveFailures: number("consecutiveFailures", 1, 1_000_000, true),
    minSuccessRate: number("minSuccessRate", 0, 1),
    minOutcomes: number("minOutcomes", 1, 1_000_000, true),
    baseMs: duration("baseMs"),
    maxMs: duration("maxMs"),
    refusedBaseMs: duration("refusedBaseMs"),
    refusedMaxMs: duration("refusedMaxMs"),
  };
}
