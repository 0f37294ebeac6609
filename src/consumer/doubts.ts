import type { ServiceInstance } from "../model/instance.js";
import { type Doubt, type Evidence, type Ground, isOver, isSpared, newDoubt, renewDoubt } from "./doubt.js";

/** Those of a service who are kept against the registry's word, and what was found out of each. */
export class Doubts {
  readonly all = new Map<string, Doubt>();
  /** How many were ever begun. */
  begun = 0;

  begin(instance: ServiceInstance, ground: Ground, now: number): void {
    if (this.all.has(instance.id)) return;
    this.all.set(instance.id, newDoubt(instance, ground, now));
    this.begun++;
  }

  /** Those that can end now: all, but of those whom a registry forgot only once it has warmed up. */
  open(warming: boolean): ReadonlyMap<string, Doubt> {
    if (!warming || this.all.size === 0) return this.all;
    return new Map([...this.all].filter(([, { forgot }]) => !forgot));
  }

  /** Whoever is listed as alive is doubted no more. True if anybody was. */
  believe(instances: readonly ServiceInstance[]): boolean {
    let back = false;
    if (this.all.size === 0) return back;
    for (const { id, status } of instances) if (status !== "failed") back = this.all.delete(id) || back;
    return back;
  }

  /** Takes in what a probe found. True if the instance may rank otherwise now. */
  found(id: string, evidence: Evidence): boolean {
    const doubt = this.all.get(id);
    if (!doubt) return false;
    const wasSpared = isSpared(doubt, 0);
    doubt.evidence = evidence;
    return isSpared(doubt, 0) !== wasSpared;
  }

  /** The registry was asked and said nothing else: that counts against whoever has been doubted for a while. */
  confirm(warming: boolean, confirmMs: number, now: number): void {
    for (const doubt of this.open(warming).values()) doubt.confirmed ||= now - doubt.since >= confirmMs;
  }

  /** Lets those go whose doubt is over. True if anybody went. */
  settle(warming: boolean, othersListed: boolean, now: number): boolean {
    let gone = false;
    for (const [id, doubt] of this.open(warming)) {
      if (isOver(doubt, now, othersListed)) gone = this.all.delete(id) || gone;
      else if (now >= doubt.until) renewDoubt(doubt, now); // it lives, and nothing better is known
    }
    return gone;
  }

  /** Whoever saw them go is no more: nobody can say of any whether the registry did not rather forget it. */
  forget(): void {
    for (const doubt of this.all.values()) doubt.forgot = true;
  }

  /** Gives everyone whom the registry forgot a whole ttl. */
  renewForgotten(now: number): void {
    for (const doubt of this.all.values()) if (doubt.forgot) renewDoubt(doubt, now);
  }
}
