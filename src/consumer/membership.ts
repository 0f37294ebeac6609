import type { ServiceInstance } from "../model/instance.js";
import { applyUpdate, type Position, type RegistryUpdate } from "../model/update.js";
import {
  type Doubt,
  type Evidence,
  isDecision,
  isMassLoss,
  isSpared,
  isUsable,
  type MassLossOptions,
  patience,
} from "./doubt.js";
import { Doubts } from "./doubts.js";
import { lostBy, usableOf } from "./losses.js";
import { Reach } from "./reach.js";

/** What an update did. */
export interface MembershipChange {
  /** True if the instances, or what is thought of them, differ. */
  readonly changed: boolean;
  /** True if an update is missing between what is held and what came: list again. */
  readonly gap: boolean;
}

/** How a loss is to be taken. */
interface Loss {
  /** Whoever is lost stays, however few they are. */
  readonly kept: boolean;
  /** The registry may never have known them. */
  readonly forgot: boolean;
}

const OBSERVED: Loss = { kept: false, forgot: false };

const NOTHING: MembershipChange = { changed: false, gap: false };
const CHANGED: MembershipChange = { changed: true, gap: false };
const GAP: MembershipChange = { changed: false, gap: true };

/**
 * Who belongs to a service, as far as the registry can be believed.
 *
 * A registry that forgot (another epoch, still warming, a name it suddenly does not know) adds and updates; it never
 * removes. A registry that suddenly takes most of a service away, or that was out of reach, is believed only where
 * somebody decided it. Whoever is kept against its word is doubted: until it is listed again, found dead, or its time is
 * up. While the registry warms up no doubt ends of whom it forgot; of whom it listed in this life of its own, and then no
 * more, doubts end as ever.
 */
export class Membership {
  position: Position | undefined;
  epoch: string | undefined;
  warming = false;
  state: "known" | "absent" | "unknown" = "unknown";
  readonly #doubts = new Doubts();
  readonly #reach = new Reach();
  readonly #told = new Map<string, ServiceInstance>();
  readonly #massLoss: MassLossOptions | undefined;

  /** @param massLoss undefined: only a registry that forgot is doubted */
  constructor(massLoss: MassLossOptions | undefined) {
    this.#massLoss = massLoss;
  }

  get doubted(): ReadonlyMap<string, Doubt> {
    return this.#doubts.all;
  }

  /** How many losses were ever doubted. */
  get suspected(): number {
    return this.#doubts.begun;
  }

  /** All instances: those the registry tells of, and those it does not but who are kept. */
  get known(): ReadonlyMap<string, ServiceInstance> {
    if (this.doubted.size === 0) return this.#told;
    const known = new Map(this.#told);
    for (const [id, { instance }] of this.doubted) known.set(id, instance);
    return known;
  }

  /** The doubts that can end now: all, but of those whom a registry forgot only once it has warmed up. */
  get open(): ReadonlyMap<string, Doubt> {
    return this.#doubts.open(this.warming);
  }

  /** Those who rank below the listed: not who lost its lease in an outage, perhaps, while fewer are listed than before it. */
  get below(): ReadonlyMap<string, Doubt> {
    const { open } = this;
    if (open.size === 0) return open;
    const listed = usableOf(this.#told);
    return new Map([...open].filter(([, doubt]) => !isSpared(doubt, listed)));
  }

  /** True from a failure to hear the registry to its next answer. */
  get isAway(): boolean {
    return this.#reach.isAway;
  }

  /** From now on the registry is asked. */
  begin(now: number): void {
    this.#reach.begin(now);
  }

  /** The registry was asked, and could not be heard. */
  missed(): void {
    this.#reach.missed();
  }

  /** Takes in one update. `now` is monotonic. */
  apply(update: RegistryUpdate, now: number): MembershipChange {
    this.#reach.heard(now, () => usableOf(this.known, this.below), update.partial);
    switch (update.type) {
      case "reset":
        return this.#reset(update, now);
      case "change":
        return this.#change(update, now);
      case "absent":
        return this.#absent(update, now);
      case "current":
        return this.settle(now);
    }
  }

  /** Begins with what was known in an earlier life of this process; the registry's first word is then compared with it. */
  recall(instances: readonly ServiceInstance[], epoch: string | undefined): void {
    for (const instance of instances) this.#told.set(instance.id, instance);
    this.state = "known";
    this.epoch = epoch;
  }

  /** Lets the registry's latest word count as certain: it answers a list with `current` only once it is warm. */
  settled(now: number): MembershipChange {
    if (!this.warming) return NOTHING;
    this.warming = false;
    this.#doubts.renewForgotten(now); // now that it is warm, everyone it forgot gets a whole ttl
    return CHANGED;
  }

  /** The registry was asked for the list, and answered: who has been doubted for a while is doubted by that answer too. */
  confirm(now: number): MembershipChange {
    if (!this.#massLoss) return NOTHING;
    this.#doubts.confirm(this.warming, this.#massLoss.confirmMs, now);
    return this.settle(now);
  }

  /** Takes in what a probe found. */
  found(id: string, evidence: Evidence, now: number): MembershipChange {
    const ranks = this.#doubts.found(id, evidence);
    return this.settle(now).changed || ranks ? CHANGED : NOTHING;
  }

  /** Lets those go whose doubt is over. */
  settle(now: number): MembershipChange {
    if (this.doubted.size === 0) return NOTHING;
    const othersListed = !this.isAway && usableOf(this.#told) > 0; // one that is away cannot put itself right
    return this.#doubts.settle(this.warming, othersListed, now) ? CHANGED : NOTHING;
  }

  #reset(update: RegistryUpdate & { type: "reset" }, now: number): MembershipChange {
    const first = this.state === "unknown";
    const warming = update.warming === true;
    const began = !first && this.#beganAnew(update.epoch, warming);
    const doubted = this.#doubt(update, { kept: began || (!first && warming), forgot: began }, now);
    const back = this.#doubts.believe(update.instances);
    const differs = applyUpdate(this.#told, update) !== undefined;
    const warmed = this.#hears(update.epoch, update.position, warming, now);
    this.state = "known";
    const settled = this.settle(now).changed;
    return first || differs || doubted || back || warmed || settled ? CHANGED : NOTHING;
  }

  #change(update: RegistryUpdate & { type: "change" }, now: number): MembershipChange {
    if (update.since !== undefined && update.since !== this.position) return GAP;
    this.state = "known";
    this.position = update.position;
    this.epoch = update.epoch ?? this.epoch;
    const doubted = this.#doubt(update, OBSERVED, now);
    let back = this.#doubts.believe(update.upserted);
    for (const { id, reason } of update.removed) {
      if (isDecision(reason) && this.#doubts.all.delete(id)) back = true;
    }
    const differs = applyUpdate(this.#told, update) !== undefined;
    return this.settle(now).changed || differs || doubted || back ? CHANGED : NOTHING;
  }

  #absent(update: RegistryUpdate & { type: "absent" }, now: number): MembershipChange {
    const before = this.state;
    const warming = update.warming === true;
    const forgot = this.#beganAnew(update.epoch, warming);
    const doubted = this.#doubt(update, { kept: true, forgot }, now);
    const differs = this.#told.size > 0;
    this.#told.clear();
    const warmed = this.#hears(update.epoch, undefined, warming, now);
    if (this.doubted.size === 0) this.state = warming && before === "unknown" ? "known" : "absent";
    const settled = this.settle(now).changed;
    return differs || doubted || warmed || settled || before !== this.state ? CHANGED : NOTHING;
  }

  /** Notes who speaks. True if that is another, or one that no longer warms up. */
  #hears(epoch: string | undefined, position: Position | undefined, warming: boolean, now: number): boolean {
    const wasWarming = this.warming;
    const another = epoch !== this.epoch;
    const began = this.#beganAnew(epoch, warming);
    this.epoch = epoch;
    this.position = position;
    this.warming = warming;
    if (began) this.#doubts.forget();
    if (warming || wasWarming || began) this.#doubts.renewForgotten(now);
    return warming !== wasWarming || another; // which is news, even if nobody is listed
  }

  /** Whether whoever speaks may know nothing of what was told before. Without an epoch nobody could tell a new life. */
  #beganAnew(epoch: string | undefined, warming: boolean): boolean {
    return epoch !== this.epoch || (warming && (!this.warming || epoch === undefined));
  }

  /** Those whose loss cannot be believed stay. What a registry does not list, it forgot, or nobody could tell it. */
  #doubt(update: Parameters<typeof lostBy>[1], { kept, forgot }: Loss, now: number): boolean {
    const lost = lostBy(this.#told, update);
    const missed = kept ? lost.filter(({ status }) => status !== "draining") : lost.filter(isUsable);
    const all = kept || (this.#massLoss && isMassLoss(usableOf(this.#told), missed.length, this.#massLoss));
    let doubted = false;
    for (const instance of missed) {
      const before = this.#massLoss && this.#reach.calledBefore(patience(instance), now);
      if (!all && before === undefined) continue;
      this.#doubts.begin(instance, { forgot, before }, now);
      doubted = true;
    }
    return doubted;
  }
}
