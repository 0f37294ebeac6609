import { invalid, label, metadataOf, numberIn, oneOf, tagList } from "../model/fields.js";
import { PROTOCOLS, type Protocol } from "../model/instance.js";
import { versionRange } from "../model/version-range.js";
import { durationMs } from "../runtime/options.js";
import { type Filter, metadataFilter, protocolFilter, splitFilter, tagFilter, versionFilter } from "./stages/filter.js";
import { type SplitRule, splitRule } from "./stages/split.js";

const HOUR_MS = 3_600_000;

/**
 * Which instances of a service a consumer calls, and how it shares its calls among them. These hold whatever the
 * balancer, and stay when it is changed.
 */
export interface RoutingOptions {
  /** Only instances that have all of these tags. */
  readonly tags?: readonly string[];
  /** Only instances whose metadata has exactly these values. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Only instances whose version lies in this range, written as npm does: `^1.2`, `1.x`, `>=1 <3`. */
  readonly version?: string;
  /** Only instances that are spoken to in this way. @default every one the call can be made over */
  readonly protocol?: Protocol;
  /**
   * The consumer's own zone: calls stay in it while at least half of its instances, and two at least, are in rotation;
   * as more are lost there, as much of the traffic goes to other zones.
   *
   * @default none: all zones alike
   */
  readonly zone?: string;
  /**
   * To how many instances this process keeps, drawn by lot, each process its own: bounds connections where hundreds
   * call hundreds.
   *
   * @default all; 25 is a good number where it is needed (gRPC A68, kratos)
   */
  readonly subset?: number;
  /**
   * How long an instance that joins later takes to get its whole share of calls, in milliseconds. It begins with a
   * tenth. Does nothing where more than half are new.
   *
   * @default 0, off: shares are exact from the start; 10_000 is a good number for services that warm up
   */
  readonly slowStartMs?: number;
  /**
   * Which share of the calls goes to which value of one label, however many instances have it:
   * `{ version: { v1: 95, v2: 5 } }`. The label is `version`, `zone` or a key of the metadata; `"*"` stands for all
   * values not named, which else get nothing. A value without usable instances leaves its share to the others.
   */
  readonly split?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /**
   * Calls this process has in flight to one instance at most. When all are at the limit a call fails with `OVERLOADED`.
   *
   * @default no limit
   */
  readonly maxInFlight?: number;
}

/** The names of all options of {@link RoutingOptions}. */
export const ROUTING_KEYS: readonly (keyof RoutingOptions)[] = [
  ...(["tags", "metadata", "version", "protocol", "zone", "subset", "slowStartMs", "split", "maxInFlight"] as const),
];

/** The same, checked and made ready. */
export interface Routing {
  readonly filters: readonly Filter[];
  readonly zone: string | undefined;
  readonly subset: number | undefined;
  readonly slowStartMs: number;
  readonly split: SplitRule | undefined;
  /** Infinite if there is no limit. */
  readonly maxInFlight: number;
}

/** Checks the options of a service. @throws {DiscoveryError} `INVALID_OPTION`, naming the option */
export function routingFrom(path: string, options: RoutingOptions): Routing {
  const { tags, metadata, version, protocol, subset, maxInFlight } = options;
  const split = splitFrom(`${path}.split`, options.split);
  const filters: Filter[] = [];
  if (protocol !== undefined) filters.push(protocolFilter(oneOf(`${path}.protocol`, protocol, PROTOCOLS)));
  if (tags !== undefined) filters.push(tagFilter(tagList(`${path}.tags`, tags)));
  if (version !== undefined) filters.push(versionFilter(version, versionRange(`${path}.version`, version)));
  if (metadata !== undefined) filters.push(metadataFilter(metadataOf(`${path}.metadata`, metadata)));
  if (split) filters.push(splitFilter(split));
  return {
    filters,
    zone: label(`${path}.zone`, options.zone),
    subset: subset === undefined ? undefined : numberIn(`${path}.subset`, subset, 1, 1_000_000, true),
    slowStartMs: durationMs(`${path}.slowStartMs`, options.slowStartMs, 0, 0, HOUR_MS),
    split,
    maxInFlight:
      maxInFlight === undefined
        ? Number.POSITIVE_INFINITY
        : numberIn(`${path}.maxInFlight`, maxInFlight, 1, 1_000_000, true),
  };
}

/** What holds where nothing is said. */
export const ANYWHERE: Routing = routingFrom("routing", {});

function splitFrom(path: string, given: RoutingOptions["split"]): SplitRule | undefined {
  if (given === undefined) return undefined;
  const labels = isRecord(given) ? Object.entries(given) : [];
  const [first] = labels;
  if (!first || labels.length > 1)
    throw invalid(path, given, "one label with its shares: { version: { v1: 95, v2: 5 } }");
  const [name, shares] = first;
  if (!isRecord(shares)) throw invalid(`${path}.${name}`, shares, "shares by value, such as { v1: 95, v2: 5 }");
  const checked = new Map<string, number>();
  for (const [value, share] of Object.entries(shares)) {
    checked.set(value, numberIn(`${path}.${name}.${value}`, share, 0, 1_000_000));
  }
  if (![...checked.values()].some((share) => share > 0)) {
    throw invalid(`${path}.${name}`, shares, "shares of which one at least is above 0");
  }
  return splitRule(name, checked);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
