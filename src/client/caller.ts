import type { PickContext } from "../balancer/balancer.js";
import type { HashKey } from "../balancer/request-key.js";
import type { Endpoint } from "../endpoint/endpoint.js";
import type { Clock, Random } from "../runtime/clock.js";
import type { LagWatch } from "../runtime/lag.js";
import type { Deadlines } from "./deadlines.js";
import type { DispatchOptions } from "./handler.js";
import type { Hedging } from "./hedging.js";
import type { CallOptions } from "./options.js";
import type { Pools } from "./pools.js";
import type { RetryBudget } from "./retry-budget.js";

/** What all calls of a resolver share. */
export interface Ground {
  readonly pools: Pools;
  readonly deadlines: Deadlines;
  /** When calls are worth a second try at the same time: mostly much sooner than their deadlines. */
  readonly hedges: Deadlines;
  /** Marks what is sent a second time; undefined if nothing does. */
  readonly retryHeader: string | undefined;
  readonly lag: LagWatch;
  readonly clock: Clock;
  readonly random: Random;
}

/** What all calls of a service share. */
export interface Caller {
  readonly name: string;
  readonly ground: Ground;
  readonly budget: RetryBudget;
  /** Undefined while hedging is off. */
  readonly hedging: Hedging | undefined;
  /** The call's own key, or what a rule finds where keys matter. */
  keyOf(options: DispatchOptions & CallOptions): HashKey | undefined;
  /** Whether whoever chooses goes by the key. */
  readonly usesKey: boolean;
  choose(context: PickContext | undefined): Endpoint | undefined;
  chooseEventually(
    context: PickContext | undefined,
    signal: AbortSignal | undefined,
    limitMs: number,
  ): Promise<Endpoint>;
}
