import type { Balancer } from "../balancer/balancer.js";
import type { HashKey } from "../balancer/request-key.js";
import type { EjectionOptions } from "../endpoint/ejection.js";
import type { Discovery } from "../registry/registry.js";
import type { Clock, Random } from "../runtime/clock.js";
import type { MassLossOptions } from "./doubt.js";
import type { Shelf } from "./last-known.js";
import type { Routing } from "./routing.js";
import type { Probe } from "./suspicion.js";

/** Everything a service is made of; the resolver fills it in. */
export interface ServiceSettings {
  readonly source: Discovery;
  readonly balancer: Balancer;
  readonly routing: Routing;
  readonly ejection: EjectionOptions;
  readonly refreshMs: number;
  readonly staleAfterMs: number;
  readonly idleMs: number;
  readonly waitMs: number;
  /** A name nobody knows is watched only after this, in milliseconds. */
  readonly strangerMs: number;
  /** Called whenever the registry tells of instances or an empty list, be it for the first time or again. */
  readonly becameKnown: () => void;
  readonly massLoss: MassLossOptions | undefined;
  readonly probe: Probe;
  readonly shelf: Shelf | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

/** What a pick may say of itself. */
export interface PickOptions {
  /** Calls with the same key belong together: only balancers that hash look at it. */
  readonly key?: HashKey;
  /** Ends the wait for the first list. */
  readonly signal?: AbortSignal;
}

/** How long `ready()` waits. */
export interface ReadyOptions {
  /** Ends the wait. */
  readonly signal?: AbortSignal;
  /** Waits until so many instances can be called. @default 0: for the first list only, whoever is in it */
  readonly instances?: number;
}
