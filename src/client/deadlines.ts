import type { Cancel, Clock } from "../runtime/clock.js";

/** Something that must be done by a certain time. It carries the links of the list it waits in. */
export abstract class Deadline {
  /** @internal */ dueAt = 0.5;
  /** @internal */ earlier: Deadline | undefined = undefined;
  /** @internal */ later: Deadline | undefined = undefined;
  /** @internal */ waiting = false;

  /** The time is over. */
  abstract expire(): void;
}

/**
 * Deadlines of many calls on one timer. Calls mostly wait equally long, so a new one belongs at the end of the list:
 * beginning and ending a wait moves a few references and makes nothing.
 */
export class Deadlines {
  readonly #clock: Clock;
  #first: Deadline | undefined;
  #last: Deadline | undefined;
  #cancel: Cancel | undefined;
  #armedFor = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(deadline: Deadline, dueAt: number): void {
    let before = this.#last;
    while (before && before.dueAt > dueAt) before = before.earlier;
    const after = before ? before.later : this.#first;
    deadline.dueAt = dueAt;
    deadline.waiting = true;
    deadline.earlier = before;
    deadline.later = after;
    if (before) before.later = deadline;
    else this.#first = deadline;
    if (after) after.earlier = deadline;
    else this.#last = deadline;
    if (this.#cancel === undefined) this.#arm(dueAt);
    else if (dueAt < this.#armedFor) this.#rearm(dueAt); // a timer that comes too early looks who is first, and waits on
  }

  remove(deadline: Deadline): void {
    if (!deadline.waiting) return;
    const { earlier, later } = deadline;
    deadline.waiting = false;
    deadline.earlier = undefined;
    deadline.later = undefined;
    if (earlier) earlier.later = later;
    else this.#first = later;
    if (later) later.earlier = earlier;
    else this.#last = earlier; // the timer stays: at its time it looks who is first then
  }

  /** Lets go of the timer. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #rearm(dueAt: number): void {
    this.#cancel?.();
    this.#arm(dueAt);
  }

  #arm(dueAt: number): void {
    this.#armedFor = dueAt;
    this.#cancel = this.#clock.schedule(Math.max(1, dueAt - this.#clock.now()), () => this.#strike());
  }

  #strike(): void {
    this.#cancel = undefined;
    const now = this.#clock.now();
    for (let first = this.#first; first && first.dueAt <= now; first = this.#first) {
      this.remove(first);
      first.expire();
    }
    if (this.#first && this.#cancel === undefined) this.#arm(this.#first.dueAt);
  }
}
