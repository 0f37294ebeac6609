import type { ServiceInstance } from "../model/instance.js";
import { Ejection } from "./ejection.js";
import { Load } from "./load.js";
import type { Outcome } from "./outcome.js";
import { forget, noteBegin, noteCancel, noteEnd, noteFailure, noteSuccess } from "./report.js";
import { SharedLoad } from "./shared-load.js";

export type { Outcome } from "./outcome.js";

/** Told whatever may change who is in rotation. */
export interface EndpointWatcher {
  /** Called after every outcome that could eject or readmit; success of an endpoint in good standing is not told. */
  judged(endpoint: Endpoint, outcome: Outcome): void;
}

/**
 * An instance as this process experiences it. The object outlives refreshes of the list and changes of the balancer:
 * the same id keeps the same endpoint, and with it everything measured.
 */
export class Endpoint {
  readonly #shared: SharedLoad;
  #place: number;
  #load: Load;
  /** In rotation, and nothing held against it: one more success changes nothing. */
  #isSound = true;
  #hasLeft = false;
  /** Its place is free, and may be another's by now. */
  #isPlaceless = false;
  instance: ServiceInstance;
  readonly ejection = new Ejection();
  /** True when the registry no longer lists it, and its silence proves nothing. */
  suspect = false;
  /**
   * Its share of calls relative to the others, which balancers go by: the instance's own weight times what slow start,
   * zone and split make of it. Who changes it calls the picker's `update` afterwards.
   */
  weight = 0.5;
  /** When this process first saw this life of it. */
  addedAt: number;
  /** Counts the processes that have stood behind the address. Who begins a call keeps it, and gives it to `settle`. */
  life = 0;
  readonly #watcher: EndpointWatcher;

  /** @param shared the same for all endpoints of a service */
  constructor(instance: ServiceInstance, now: number, watcher: EndpointWatcher, shared = new SharedLoad(now)) {
    this.instance = instance;
    this.weight = instance.weight; // the field stays a double, whatever it is given
    this.#shared = shared;
    this.#place = placeIn(shared);
    this.#load = new Load(shared, this.#place);
    this.addedAt = now;
    this.#watcher = watcher;
  }

  /** What was measured of it, and is under way. */
  get load(): Load {
    return this.#load;
  }

  /** A call begins, at `now` of the clock that `settle` goes by too. */
  begin(now: number): void {
    if (this.#isPlaceless) this.#comeBack();
    noteBegin(this.#shared, this.#place, now);
  }

  /**
   * The outcome of a call is known: at its response headers, or when it failed before them.
   *
   * @param latencyMs time to the headers; negative when it was not measured or must not count
   * @param life in which the call began; what became of an earlier life's calls says nothing about this one
   */
  settle(outcome: Outcome, latencyMs: number, now: number, life = this.life): void {
    if (life !== this.life) return;
    if (outcome !== "success") return this.#settleOtherwise(outcome, latencyMs, now);
    noteSuccess(this.#shared, this.#place, latencyMs, now);
    if (!this.#isSound) this.#redeem();
  }

  /** The call is over, body included. */
  end(): void {
    const left = noteEnd(this.#shared, this.#place);
    if (this.#hasLeft && left === 0) this.#makeRoom();
  }

  /** @internal It was chosen and then not called after all: if it was on trial, the next call is one. */
  notCalled(): void {
    if (this.ejection.onTrial) this.#watcher.judged(this, "cancelled");
  }

  /** @internal Whether it is listed no more. */
  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** Whether anybody wants to hear what it reports of its load. */
  get isAsked(): boolean {
    return this.#shared.reports !== undefined;
  }

  /** It says at `now` what share of its capacity is taken, 0 to 1. */
  report(utilization: number, now: number): void {
    const { reports } = this.#shared;
    if (reports === undefined) return;
    reports[2 * this.#place] = utilization;
    reports[2 * this.#place + 1] = now;
  }

  /** It is listed no more; its calls in flight go on being counted, and then its place is free. */
  leave(): void {
    this.#hasLeft = true;
    if (this.load.inFlight === 0) this.#makeRoom();
  }

  /** The registry tells of it anew. Another incarnation is another process: what was held against the old one is void. */
  become(instance: ServiceInstance, now: number): void {
    if (instance.incarnation !== this.instance.incarnation) {
      this.ejection.reset();
      this.load.cancelled += this.load.waiting; // what becomes of them is told to a life that is over
      forget(this.#shared, this.#place);
      this.addedAt = now;
      this.life++;
    }
    this.instance = instance;
    this.weight = instance.weight;
  }

  #makeRoom(): void {
    this.#shared.leave(this.#place);
    this.#isPlaceless = true;
  }

  /** Somebody had chosen it for a call after a pause, and in the pause it left. */
  #comeBack(): void {
    this.#place = placeIn(this.#shared);
    this.#load = new Load(this.#shared, this.#place);
    this.#isPlaceless = false;
  }

  #redeem(): void {
    const { ejection } = this;
    if (ejection.cause !== undefined) return this.#watcher.judged(this, "success");
    ejection.failuresInRow = 0;
    ejection.times = 0;
    this.#isSound = true;
  }

  #settleOtherwise(outcome: Exclude<Outcome, "success">, latencyMs: number, now: number): void {
    if (outcome === "cancelled") {
      this.load.cancelled++;
      noteCancel(this.#shared, this.#place, now);
      if (this.ejection.onTrial) this.#watcher.judged(this, outcome);
      return;
    }
    this.load.failures++;
    this.#isSound = false;
    this.ejection.successes = this.load.successes;
    noteFailure(this.#shared, this.#place, outcome === "refused" ? -1 : latencyMs, now);
    this.#watcher.judged(this, outcome);
  }
}

/** Where nothing is known yet. */
function placeIn(shared: SharedLoad): number {
  const place = shared.join();
  forget(shared, place);
  return place;
}

/** Brings endpoints in line with the list: known ids keep their object, newcomers get one, the gone are handed back. */
export function reconcile(
  endpoints: Map<string, Endpoint>,
  instances: readonly ServiceInstance[],
  now: number,
  watcher: EndpointWatcher,
): readonly Endpoint[] {
  const listed = new Set<string>();
  const gone: Endpoint[] = [];
  const shared = endpoints.values().next().value?.load.shared ?? new SharedLoad(now);
  for (const instance of instances) {
    listed.add(instance.id);
    const known = endpoints.get(instance.id);
    if (known && !movedAway(known, instance)) {
      if (known.instance !== instance) known.become(instance, now);
      continue;
    }
    if (known) gone.push(known);
    endpoints.set(instance.id, new Endpoint(instance, now, watcher, shared));
  }
  for (const [id, endpoint] of endpoints) {
    if (listed.has(id)) continue;
    endpoints.delete(id);
    gone.push(endpoint);
  }
  for (const endpoint of gone) endpoint.leave();
  return gone;
}

/** The same id on another address is another endpoint: connections and measurements belong to the address. */
function movedAway({ instance: { host, port, protocol } }: Endpoint, next: ServiceInstance): boolean {
  return host !== next.host || port !== next.port || protocol !== next.protocol;
}
