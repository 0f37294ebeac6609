import { type Balancer, isBalancer, type PickContext, type Picker } from "../balancer/balancer.js";
import type { EjectionCause, EjectionOptions } from "../endpoint/ejection.js";
import { type Endpoint, type EndpointWatcher, type Outcome, reconcile } from "../endpoint/endpoint.js";
import { invalid } from "../model/fields.js";
import { byId, type ServiceInstance } from "../model/instance.js";
import type { Cancel, Clock, Random } from "../runtime/clock.js";
import { type Eligible, eligible } from "./eligible.js";

/** A trial whose caller never reports is given to the next one after this, in milliseconds: a call's default limit. */
const TRIAL_MS = 30_000;
/** At most this share of a service is ejected for failing; the refused do not count (C-7 of the guarantees). */
const MAX_EJECTED_SHARE = 0.5;
const MAX_SEED = 2 ** 32;

/** What a rotation tells its service. */
export interface RotationEvents {
  ejected(endpoint: Endpoint, cause: EjectionCause, pauseMs: number): void;
  readmitted(endpoint: Endpoint): void;
  /** More than half are ejected: ejections are ignored until it is calm again. */
  panic(panic: boolean): void;
  /** These endpoints have left: what belongs to them may be closed once they are idle. */
  left(endpoints: readonly Endpoint[]): void;
}

/** What a rotation needs. */
export interface RotationOptions {
  readonly balancer: Balancer;
  readonly ejection: EjectionOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: RotationEvents;
}

/**
 * The endpoints of one service and whose turn it is. Everything is prepared when something changes, so that choosing
 * is one call to the picker.
 */
export class Rotation implements EndpointWatcher {
  readonly #options: RotationOptions;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #pauses = new Map<Endpoint, Cancel>();
  readonly #trials: Endpoint[] = [];
  #all: readonly Endpoint[] = [];
  #eligible: Eligible = eligible([]);
  #balancer: Balancer;
  #picker: Picker;
  #parked = false;

  constructor(options: RotationOptions) {
    this.#options = options;
    this.#balancer = options.balancer;
    this.#picker = this.#newPicker(options.balancer);
  }

  get all(): readonly Endpoint[] {
    return this.#all;
  }

  get eligible(): Eligible {
    return this.#eligible;
  }

  get balancer(): Balancer {
    return this.#balancer;
  }

  /** Whose turn it is; undefined if nobody is usable who was not tried. Allocates nothing. */
  choose(context: PickContext | undefined): Endpoint | undefined {
    return this.#trials.length === 0 ? this.#picker.pick(context) : this.#onTrial(context);
  }

  /** Changes the balancer; endpoints keep everything measured. */
  setBalancer(balancer: Balancer): void {
    if (!isBalancer(balancer)) throw invalid("balancer", balancer, "a balancer, such as roundRobin()");
    this.#balancer = balancer;
    this.#picker = this.#newPicker(balancer);
    if (!this.#parked) this.#picker.update(this.#all, this.#eligible.usable);
  }

  /** Brings the endpoints in line with what the registry tells. */
  setInstances(instances: readonly ServiceInstance[], suspects: ReadonlyMap<string, unknown> | undefined): void {
    const left = reconcile(this.#endpoints, instances, this.#options.clock.now(), this);
    this.#all = [...this.#endpoints.values()].sort((a, b) => byId(a.instance, b.instance));
    for (const endpoint of left) this.#forget(endpoint);
    for (const endpoint of this.#all) {
      endpoint.suspect = suspects?.has(endpoint.instance.id) ?? false;
      if (endpoint.ejection.cause === undefined) this.#forget(endpoint); // a new life: its pause is over
    }
    this.refresh();
    if (left.length > 0) this.#options.events.left(left);
  }

  /** Works out anew who is usable. */
  refresh(): void {
    const before = this.#eligible.panic;
    this.#eligible = eligible(this.#all);
    if (!this.#parked) this.#picker.update(this.#all, this.#eligible.usable);
    if (this.#eligible.panic !== before) this.#options.events.panic(this.#eligible.panic);
  }

  /** Chooses nobody until it is unparked: the next caller then notices that nobody keeps the list fresh. */
  park(parked: boolean): void {
    this.#parked = parked;
    this.#picker.update(this.#all, parked ? [] : this.#eligible.usable);
  }

  /** Lets go of every timer. */
  close(): void {
    for (const cancel of this.#pauses.values()) cancel();
    this.#pauses.clear();
    this.#trials.length = 0;
  }

  judged(endpoint: Endpoint, outcome: Outcome): void {
    if (this.#endpoints.get(endpoint.instance.id) !== endpoint) return; // it has left meanwhile
    const { ejection } = endpoint;
    if (outcome === "success") {
      if (!ejection.succeeded(this.#eligible.panic)) return;
      this.#forget(endpoint);
      this.refresh();
      this.#options.events.readmitted(endpoint);
    } else if (outcome === "cancelled") {
      if (ejection.onTrial) this.#askForTrial(endpoint); // the trial said nothing: the next call is one
    } else {
      const cause = ejection.failed(outcome === "refused", this.#options.ejection);
      if (cause) this.#eject(endpoint, cause);
    }
  }

  #eject(endpoint: Endpoint, cause: EjectionCause): void {
    const { ejection } = endpoint;
    if (cause === "failing" && ejection.cause === undefined && !this.#mayEject()) return;
    const again = ejection.cause !== undefined;
    const pauseMs = ejection.eject(cause, this.#options.ejection, this.#options.random);
    this.#after(endpoint, pauseMs);
    if (again) return;
    this.refresh();
    this.#options.events.ejected(endpoint, cause, pauseMs);
  }

  /** Never more than half of the service, never the last. */
  #mayEject(): boolean {
    let failing = 0;
    let left = 0;
    for (const { ejection } of this.#all) {
      if (ejection.cause === undefined) left++;
      else if (ejection.cause === "failing") failing++;
    }
    return left > 1 && failing + 1 <= this.#all.length * MAX_EJECTED_SHARE;
  }

  #after(endpoint: Endpoint, pauseMs: number): void {
    this.#pauses.get(endpoint)?.();
    this.#pauses.set(
      endpoint,
      this.#options.clock.schedule(pauseMs, () => this.#askForTrial(endpoint)),
    );
  }

  #askForTrial(endpoint: Endpoint): void {
    endpoint.ejection.onTrial = false;
    if (!this.#trials.includes(endpoint)) this.#trials.push(endpoint);
  }

  /** The next call to a service with somebody on trial is the trial; if it fails, it goes on elsewhere. */
  #onTrial(context: PickContext | undefined): Endpoint | undefined {
    const endpoint = this.#trials[0] as Endpoint;
    if (this.#parked || context?.tried?.includes(endpoint)) return this.#picker.pick(context);
    this.#trials.shift();
    endpoint.ejection.onTrial = true;
    this.#after(endpoint, TRIAL_MS);
    return endpoint;
  }

  #forget(endpoint: Endpoint): void {
    this.#pauses.get(endpoint)?.();
    this.#pauses.delete(endpoint);
    const index = this.#trials.indexOf(endpoint);
    if (index >= 0) this.#trials.splice(index, 1);
  }

  #newPicker(balancer: Balancer): Picker {
    return balancer.create(Math.floor(this.#options.random() * MAX_SEED));
  }
}
