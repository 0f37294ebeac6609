import { invalid, numberIn, oneOf } from "../model/fields.js";
import { knownKeys } from "../runtime/options.js";
import type { Balancer } from "./balancer.js";
import type { Bounds } from "./bounded-load.js";
import { MaglevPicker } from "./maglev-picker.js";
import { type KeyRule, keyReader } from "./request-key.js";
import { RingPicker } from "./ring-picker.js";

/** How keys are mapped to instances. */
export interface ConsistentHashOptions {
  /**
   * `"ring"`: when an instance leaves, not one key of another moves; shares within 25 % of the mean.
   *
   * `"maglev"`: shares within 1 %, the fastest look-up; when one leaves, about half a percent of the others' keys move.
   * For proxies and for spreading without state.
   *
   * @default "ring"
   */
  readonly algorithm?: "ring" | "maglev" | undefined;
  /**
   * Lets a key overflow to its next instance while its own has more than its share of this client's calls in flight.
   * Each client bounds only its own load. `true` is `{ factor: 1.5, floor: 8 }`.
   *
   * @default false, as Envoy and HAProxy: with few calls in flight it would destroy affinity
   */
  readonly boundedLoad?: boolean | BoundedLoadOptions | undefined;
  /**
   * Where requests carry their key that are given none with `{ key }`, such as those of a plain `fetch`.
   *
   * @default nowhere
   */
  readonly key?: KeyRule | undefined;
}

/** An instance may have in flight the larger of `floor` and `factor` × its fair share. */
export interface BoundedLoadOptions {
  /** From 1 to 10. @default 1.5: 80 to 99 % of calls stay home where 1.25 keeps 50 to 96 % */
  readonly factor?: number | undefined;
  /** Calls in flight always allowed, from 0 to 1,000,000. @default 8, so that a few at once never overflow */
  readonly floor?: number | undefined;
}

/**
 * Calls with the same key go to the same instance, from every process, after every restart, in whatever order the list
 * comes: for caches, sessions and locks in memory.
 *
 * It needs a key with each call: `{ key }` (a string, number, bigint or bytes), or a rule to find it by. A call without one goes to a random
 * instance, and the process is warned once (`MCP_DISCOVERY_NO_KEY`). Keys of an instance that is ejected or not usable
 * spread over the others and come back with it; a retry goes to the key's next instance, the same one everywhere.
 *
 * Shares are in proportion to weight; weight 0 holds no keys while another has more. What is hashed is the instance's
 * `metadata.hash_key`, else its id: give replicas that move between addresses a `hash_key`, and their keys move along.
 * Where two share one, the smaller id serves and the other stands in.
 *
 * @see Karger et al., 1997; Eisenbud et al., "Maglev", 2016; Mirrokni et al., "Consistent Hashing with Bounded Loads", 2016
 * @throws {DiscoveryError} `INVALID_OPTION`, naming the option
 */
export function consistentHash(options: ConsistentHashOptions = {}): Balancer {
  knownKeys("consistentHash", options, ["algorithm", "boundedLoad", "key"]);
  const algorithm = oneOf("consistentHash.algorithm", options.algorithm ?? "ring", ["ring", "maglev"]);
  const bounds = boundsOf(options.boundedLoad ?? false);
  return {
    name: "consistent-hash",
    keyOf: options.key === undefined ? undefined : keyReader("consistentHash.key", options.key),
    create: (seed) => (algorithm === "ring" ? new RingPicker(seed, bounds) : new MaglevPicker(seed, bounds)),
  };
}

function boundsOf(given: boolean | BoundedLoadOptions): Bounds | undefined {
  const path = "consistentHash.boundedLoad";
  if (given === false) return undefined;
  if (given !== true && (typeof given !== "object" || given === null))
    throw invalid(path, given, "true, false or { factor, floor }");
  const { factor, floor }: BoundedLoadOptions = given === true ? {} : given;
  if (given !== true) knownKeys(path, given, ["factor", "floor"]);
  return {
    factor: numberIn(`${path}.factor`, factor ?? 1.5, 1, 10),
    floor: numberIn(`${path}.floor`, floor ?? 8, 0, 1_000_000),
  };
}
