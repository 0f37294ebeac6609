import type { Balancer, PickContext, Picker } from "../balancer/balancer.js";
import type { EjectionCause, EjectionOptions } from "../endpoint/ejection.js";
import { type Endpoint, type EndpointWatcher, type Outcome, reconcile } from "../endpoint/endpoint.js";
import type { ServiceInstance } from "../model/instance.js";
import type { Cancel, Clock, Random } from "../runtime/clock.js";
import { type Eligible, eligible, type Moment, NOBODY, type Note, weigh } from "./eligible.js";
import { belowLimit, isFull } from "./in-flight-limit.js";
import { Outliers } from "./outliers.js";
import type { Routing } from "./routing.js";
import { Shadow } from "./shadow.js";
import { RAMP_STEPS } from "./stages/slow-start.js";

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
  readonly routing: Routing;
  readonly ejection: EjectionOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: RotationEvents;
}

/** What a registry tells, and when that was. */
interface News {
  readonly instances: readonly ServiceInstance[];
  readonly suspects: ReadonlyMap<string, unknown>;
  readonly now: number;
}

/**
 * The endpoints of one service and whose turn it is. Everything is prepared when something changes, so that choosing
 * is one call to the picker.
 */
export class Rotation implements EndpointWatcher {
  readonly #options: RotationOptions;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #outliers: Outliers;
  readonly #limit: number;
  readonly #seed: number;
  #all: readonly Endpoint[] = [];
  #eligible: Eligible = NOBODY;
  #balancer: Balancer;
  #picker: Picker;
  #shadow: Shadow | undefined;
  /** The picker itself, or whoever heeds more than the picker does: settled on change, so that a pick need not ask. */
  #chooser: Pick<Picker, "pick">;
  readonly #behind = { pick: (context: PickContext | undefined) => this.#chooseAnew(context) };
  readonly #careful = { pick: (context: PickContext | undefined) => this.#chooseCarefully(context) };
  /** What the registry told last, as long as the endpoints are not in line with it. */
  #news: News | undefined;
  #usesKey = false;
  #parked = false;
  #firstAt = Number.POSITIVE_INFINITY;
  #nextStep: Cancel | undefined;

  constructor(options: RotationOptions) {
    const { ejection, clock, random, balancer, routing } = options;
    this.#options = options;
    this.#limit = routing.maxInFlight;
    this.#seed = Math.floor(random() * MAX_SEED);
    this.#outliers = new Outliers({
      ejection,
      clock,
      random,
      all: () => this.all,
      mayTry: ({ instance }) =>
        instance.weight > 0 && instance.status !== "starting" && routing.filters.every(({ keeps }) => keeps(instance)),
      panic: () => this.eligible.panic,
      ejected: (endpoint, cause, pauseMs) => {
        this.refresh();
        options.events.ejected(endpoint, cause, pauseMs);
      },
      readmitted: (endpoint) => {
        this.refresh();
        options.events.readmitted(endpoint);
      },
      trials: () => this.#settle(),
    });
    this.#balancer = balancer;
    this.#picker = this.#newPicker(balancer);
    this.#chooser = this.#picker;
    this.#settle();
  }

  get all(): readonly Endpoint[] {
    this.catchUp();
    return this.#all;
  }

  get eligible(): Eligible {
    this.catchUp();
    return this.#eligible;
  }

  get balancer(): Balancer {
    return this.#balancer;
  }

  /** Whether a call's key matters to whoever chooses. */
  get usesKey(): boolean {
    return this.#usesKey;
  }

  /** Whether somebody could be picked, were not everybody at the limit of calls in flight. */
  get isFull(): boolean {
    return isFull(this.eligible.usable, this.#limit);
  }

  /** Whose turn it is; undefined if nobody is usable who was not tried. Allocates nothing. */
  choose(context: PickContext | undefined): Endpoint | undefined {
    return this.#chooser.pick(context);
  }

  /** Changes the balancer; endpoints keep everything measured. */
  setBalancer(balancer: Balancer): void {
    this.catchUp();
    this.#balancer = balancer;
    this.#picker = this.#newPicker(balancer);
    this.#all[0]?.load.shared.wantReports(false); // whoever wants them asks anew
    this.#shadow?.update(this.#all, this.#eligible.usable);
    if (!this.#parked) this.#picker.update(this.#all, this.#eligible.usable);
    this.#settle();
  }

  /** Lets another balancer choose beside the one in use, without consequence; it takes the place of an earlier one. */
  shadow(balancer: Balancer): Shadow {
    const end = (): void => {
      if (this.#shadow !== shadow) return;
      this.#shadow = undefined;
      this.#settle();
    };
    const shadow = new Shadow(balancer, this.#newPicker(balancer), () => this.#balancer.name, end);
    shadow.update(this.all, this.#eligible.usable);
    this.#shadow = shadow;
    this.#settle();
    return shadow;
  }

  /**
   * Notes what the registry tells, in the order of the ids; whoever asks for anything next brings the endpoints in line
   * with it, or `catchUp()`. So the news is out first, and still nobody meets an endpoint of the list before.
   */
  setInstances(instances: readonly ServiceInstance[], suspects: ReadonlyMap<string, unknown>): void {
    this.catchUp(); // no list is passed over: who left and came back is another endpoint
    this.#news = { instances, suspects, now: this.#options.clock.now() };
    this.#chooser = this.#behind;
  }

  /** Brings the endpoints in line with what the registry told last. */
  catchUp(): void {
    if (!this.#news) return;
    const { instances, suspects, now } = this.#news;
    this.#news = undefined;
    this.#settle(); // first: whoever hears of panic may pick
    if (instances.length > 0) this.#firstAt = Math.min(this.#firstAt, now);
    const left = reconcile(this.#endpoints, instances, now, this);
    this.#all = instances.map(({ id }) => this.#endpoints.get(id) as Endpoint); // which are in the order of their ids
    for (const endpoint of left) this.#outliers.forget(endpoint);
    for (const endpoint of this.#all) {
      endpoint.suspect = suspects.has(endpoint.instance.id);
      if (endpoint.ejection.cause === undefined) this.#outliers.forget(endpoint); // a new life: its pause is over
    }
    this.refresh();
    if (left.length > 0) this.#options.events.left(left);
  }

  /** Works out anew who is usable, and what each counts. */
  refresh(): void {
    this.catchUp();
    const before = this.#eligible.panic;
    this.#eligible = eligible(this.#all, this.#options.routing, this.#moment());
    weigh(this.#all, this.#eligible);
    if (!this.#parked) this.#picker.update(this.#all, this.#eligible.usable);
    this.#shadow?.update(this.#all, this.#eligible.usable);
    if (this.#eligible.ramping) this.#stepLater();
    if (this.#eligible.panic !== before) this.#options.events.panic(this.#eligible.panic);
  }

  /** Chooses nobody until it is unparked: the next caller then notices that nobody keeps the list fresh. */
  park(parked: boolean): void {
    this.catchUp();
    this.#parked = parked;
    this.#picker.update(this.#all, parked ? [] : this.#eligible.usable);
    this.#settle();
    if (!parked && this.#eligible.ramping) this.refresh(); // time has passed for those who warm up
  }

  /** Goes through the stages once more, for whoever wants to know who is left out, and why. */
  explain(note: Note): void {
    eligible(this.all, this.#options.routing, this.#moment(), note);
  }

  /** Lets go of every timer. */
  close(): void {
    this.#outliers.close();
    this.#nextStep?.();
    this.#settle();
  }

  judged(endpoint: Endpoint, outcome: Outcome): void {
    this.catchUp();
    if (this.#endpoints.get(endpoint.instance.id) !== endpoint) return; // it has left meanwhile
    this.#outliers.judge(endpoint, outcome);
  }

  /** Whether there is nothing to heed but the balancer: asked here, so that a pick need not. */
  #settle(): void {
    const isLimited = this.#limit !== Number.POSITIVE_INFINITY;
    this.#usesKey = this.#balancer.usesKey !== false || this.#shadow?.usesKey === true;
    if (this.#news) return; // the chooser is behind
    const isPlain = this.#parked || (!isLimited && !this.#outliers.onTrial && !this.#shadow);
    this.#chooser = isPlain ? this.#picker : this.#careful;
  }

  #chooseAnew(context: PickContext | undefined): Endpoint | undefined {
    this.catchUp();
    return this.#chooser.pick(context);
  }

  /** The next call to a service with somebody on trial is the trial; if it fails, it goes on elsewhere. */
  #chooseCarefully(context: PickContext | undefined): Endpoint | undefined {
    const trial = this.#outliers.nextTrial(context);
    if (trial) return trial;
    const first = this.#picker.pick(context);
    this.#shadow?.compare(first, context);
    return first === undefined || first.load.inFlight < this.#limit
      ? first
      : belowLimit(first, context, this.#picker, this.#eligible.usable, this.#limit);
  }

  #moment(): Moment {
    return { now: this.#options.clock.now(), firstAt: this.#firstAt, seed: this.#seed };
  }

  /** Weights of those who warm up grow in steps. */
  #stepLater(): void {
    if (this.#nextStep || this.#parked) return;
    const { clock, routing } = this.#options;
    this.#nextStep = clock.schedule(routing.slowStartMs / RAMP_STEPS, () => {
      this.#nextStep = undefined;
      this.refresh();
    });
  }

  #newPicker(balancer: Balancer): Picker {
    return balancer.create(Math.floor(this.#options.random() * MAX_SEED));
  }
}
