import type { RegistryUpdate } from "../model/update.js";
import { isPartial, type MergeParts, mergedChange, mergedList, partAfter, positionOf } from "./merged-list.js";

/** Updates that nobody has read yet are kept up to this many; then the whole list takes their place. */
const MAX_WAITING = 64;

/** What the watches of several registries have told, as the updates of one. It begins with the list of all that answer. */
export class Told {
  #parts: MergeParts;
  readonly #spoken = new Set<number>();
  readonly #failing = new Map<number, unknown>();
  /** Those who were heard before, and could not be since. */
  readonly #away = new Set<number>();
  readonly #waiting: RegistryUpdate[] = [];
  #hasBegun = false;
  #isPatient = true;
  #wake: () => void = () => {};

  /** @param parts what each registry told last, before this watch */
  constructor(parts: MergeParts) {
    this.#parts = parts;
  }

  get parts(): MergeParts {
    return this.#parts;
  }

  /** One registry spoke; false if something is missing between this and what it said before. */
  heard(index: number, update: RegistryUpdate): boolean {
    const before = this.#parts;
    const part = partAfter(before[index], update);
    if (!part) return false;
    this.#parts = before.map((each, at) => (at === index ? part : each));
    this.#failing.delete(index);
    this.#away.delete(index);
    this.#spoken.add(index);
    if (this.#hasBegun) this.#add(updateOf(before, this.#parts, update));
    else this.#beginIfReady();
    return true;
  }

  /** Some were listed since `then`, and not the others: what is known of them is that, unless their watch was faster. */
  listed(then: MergeParts, listed: MergeParts): void {
    for (const [index, part] of listed.entries()) {
      if (part) this.#away.delete(index);
      else this.#away.add(index);
    }
    this.#parts = this.#parts.map((part, at) => (part === then[at] ? (listed[at] ?? part) : part));
  }

  /** One registry is away. */
  failed(index: number, error: unknown): void {
    const isNews = this.#spoken.has(index) && !this.#failing.has(index); // who never spoke may be barred, and listed all the same
    if (isNews) this.#away.add(index);
    this.#failing.set(index, error);
    this.#beginIfReady();
    if (isNews && this.#hasBegun && this.#failing.size < this.#parts.length) this.#add(stillThere(this.#parts));
    this.#wake();
  }

  /** Waits no longer for registries that have said nothing yet. */
  begin(): void {
    this.#isPatient = false;
    this.#beginIfReady();
  }

  /** The next update; fails while all registries are away. */
  async next(): Promise<RegistryUpdate> {
    while (true) {
      const update = this.#waiting.shift();
      if (update) return update;
      if (this.#failing.size === this.#parts.length) throw [...this.#failing.values()][0];
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #beginIfReady(): void {
    if (this.#hasBegun || this.#spoken.size === 0) return;
    const isAwaited = (index: number): boolean => !this.#spoken.has(index) && !this.#failing.has(index);
    if (this.#isPatient && this.#parts.some((_, index) => isAwaited(index))) return;
    this.#hasBegun = true;
    this.#add(mergedList(this.#parts));
  }

  #add(update: RegistryUpdate): void {
    const isLate = this.#waiting.length >= MAX_WAITING;
    if (isLate) this.#waiting.length = 0;
    const next = isLate ? mergedList(this.#parts) : update;
    const partial = this.#away.size > 0 || isPartial(this.#parts);
    this.#waiting.push(partial ? { ...next, partial } : next);
    this.#wake();
  }
}

function updateOf(before: MergeParts, after: MergeParts, update: RegistryUpdate): RegistryUpdate {
  if (update.type === "change") return mergedChange(before, after, update);
  return update.type === "current" ? stillThere(after) : mergedList(after);
}

function stillThere(parts: MergeParts): RegistryUpdate {
  return { type: "current", position: positionOf(parts) };
}
