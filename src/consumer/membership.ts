import type { ServiceInstance } from "../model/instance.js";
import { applyUpdate, type Position, type RegistryUpdate } from "../model/update.js";

/** How long a doubted instance stays where the registry names no ttl, in milliseconds: the default ttl. */
const DOUBT_MS = 30_000;

/** What an update did. */
export interface MembershipChange {
  /** True if the instances, or what is thought of them, differ. */
  readonly changed: boolean;
  /** True if an update is missing between what is held and what came: list again. */
  readonly gap: boolean;
}

const NOTHING: MembershipChange = { changed: false, gap: false };
const CHANGED: MembershipChange = { changed: true, gap: false };
const GAP: MembershipChange = { changed: false, gap: true };

/**
 * Who belongs to a service, as far as the registry can be believed.
 *
 * A registry that forgot (another epoch, still warming, a name it suddenly does not know) adds and updates; it never
 * removes. Those it no longer lists are doubted: they stay until it has been sure of itself for one ttl, or says why
 * they left.
 */
export class Membership {
  readonly known = new Map<string, ServiceInstance>();
  /** Until when each unlisted instance is kept, on the consumer's monotonic clock. */
  readonly doubted = new Map<string, number>();
  position: Position | undefined;
  epoch: string | undefined;
  warming = false;
  state: "known" | "absent" | "unknown" = "unknown";

  /** Takes in one update. `now` is monotonic. */
  apply(update: RegistryUpdate, now: number): MembershipChange {
    switch (update.type) {
      case "reset":
        return this.#reset(update, now);
      case "change":
        return this.#change(update, now);
      case "absent":
        return this.#absent(update, now);
      case "current":
        return this.#dropDoubted(now) ? CHANGED : NOTHING;
    }
  }

  /** Lets the registry's latest word count as certain: it answers a list with `current` only once it is warm. */
  settled(now: number): MembershipChange {
    if (!this.warming) return NOTHING;
    this.warming = false;
    this.#doubtUntil(now);
    return CHANGED;
  }

  #reset(update: RegistryUpdate & { type: "reset" }, now: number): MembershipChange {
    const wasWarming = this.warming;
    const first = this.state === "unknown";
    const forgot = !first && (update.warming === true || update.epoch !== this.epoch || this.doubted.size > 0);
    this.state = "known";
    this.epoch = update.epoch;
    this.position = update.position;
    this.warming = update.warming === true;
    const before = this.doubted.size;
    if (!forgot) {
      this.doubted.clear();
      const differs = applyUpdate(this.known, update) !== undefined;
      return differs || first || before > 0 ? CHANGED : NOTHING;
    }
    const listed = new Set(update.instances.map(({ id }) => id));
    for (const id of listed) this.doubted.delete(id);
    const left = this.#miss(listed, now);
    if (this.warming || wasWarming) this.#doubtUntil(now);
    const differs = applyUpdate(this.known, { type: "change", upserted: update.instances, removed: [], position: "" });
    const dropped = this.#dropDoubted(now);
    const doubts = before !== this.doubted.size;
    return differs || left || dropped || doubts || wasWarming !== this.warming ? CHANGED : NOTHING;
  }

  #change(update: RegistryUpdate & { type: "change" }, now: number): MembershipChange {
    if (update.since !== undefined && update.since !== this.position) return GAP;
    this.state = "known";
    this.position = update.position;
    this.epoch = update.epoch ?? this.epoch;
    const doubted = this.doubted.size;
    for (const { id } of update.upserted) this.doubted.delete(id);
    for (const { id } of update.removed) this.doubted.delete(id);
    const differs = applyUpdate(this.known, update) !== undefined;
    const dropped = this.#dropDoubted(now);
    return differs || dropped || doubted !== this.doubted.size ? CHANGED : NOTHING;
  }

  #absent(update: RegistryUpdate & { type: "absent" }, now: number): MembershipChange {
    const before = { state: this.state, warming: this.warming, doubted: this.doubted.size };
    this.epoch = update.epoch;
    this.position = undefined;
    this.warming = update.warming === true;
    if (this.known.size === 0) this.state = this.warming && this.state === "unknown" ? "known" : "absent";
    const left = this.#miss(new Set(), now);
    if (this.warming || before.warming) this.#doubtUntil(now);
    const dropped = this.#dropDoubted(now);
    const same = before.state === this.state && before.warming === this.warming && before.doubted === this.doubted.size;
    return left || dropped || !same ? CHANGED : NOTHING;
  }

  /** Doubts those it does not list; whoever said before that it was leaving has left, which is told by true. */
  #miss(listed: ReadonlySet<string>, now: number): boolean {
    let left = false;
    for (const [id, { status }] of this.known) {
      if (listed.has(id)) continue;
      if (status === "draining") {
        this.doubted.delete(id);
        left = this.known.delete(id) || left;
      } else if (!this.doubted.has(id)) this.doubted.set(id, this.#patience(id, now));
    }
    return left;
  }

  #patience(id: string, now: number): number {
    return now + (this.known.get(id)?.ttlMs ?? DOUBT_MS);
  }

  /** While the registry warms up, and once more when it is warm, everyone in doubt gets a whole ttl. */
  #doubtUntil(now: number): void {
    for (const id of this.doubted.keys()) this.doubted.set(id, this.#patience(id, now));
  }

  #dropDoubted(now: number): boolean {
    if (this.warming || this.doubted.size === 0) return false;
    let dropped = false;
    for (const [id, until] of this.doubted) {
      if (now < until) continue;
      this.doubted.delete(id);
      dropped = this.known.delete(id) || dropped;
    }
    return dropped;
  }
}
