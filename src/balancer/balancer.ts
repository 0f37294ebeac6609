import type { Endpoint } from "../endpoint/endpoint.js";
import type { HashKey, KeyReader } from "./request-key.js";

/** A way to choose. A stateless value: many services may share one. */
export interface Balancer {
  readonly name: string;
  /** False if its picks never look at a call's key: calls are then spared the finding of it. @default true */
  readonly usesKey?: boolean;
  /** Makes the picker of one service. */
  create(seed: number): Picker;
  /** Reads the key of a request that was given none. @default none */
  readonly keyOf?: KeyReader | undefined;
}

/**
 * What a balancer makes for one service: prepared on change, so that a pick costs nothing.
 *
 * A picker learns what time it is from its endpoints: `endpoint.load.shared.now` is the last moment told to
 * `endpoint.begin(now)` or `endpoint.settle(…, now)`. A simulation needs nothing but a seed and a `now` of its own.
 */
export interface Picker {
  /**
   * Called whenever endpoints, their weights or their standing change.
   *
   * @param all every known endpoint of the service, in the order of their ids
   * @param usable those that may be picked now, in the same order; never changed afterwards
   */
  update(all: readonly Endpoint[], usable: readonly Endpoint[]): void;
  /** Synchronous; allocates nothing, reads no clock. Undefined if nothing is usable that was not tried. */
  pick(context: PickContext | undefined): Endpoint | undefined;
}

/** What a call knows that may matter for the choice. */
export interface PickContext {
  /** Calls with the same key belong together. */
  readonly key?: HashKey | undefined;
  /** Endpoints this call has tried already. */
  readonly tried?: readonly Endpoint[] | undefined;
}

/** Whether a value has a balancer's form. */
export function isBalancer(value: unknown): value is Balancer {
  if (typeof value !== "object" || value === null) return false;
  const { name, create } = value as Partial<Balancer>;
  return typeof name === "string" && typeof create === "function";
}
