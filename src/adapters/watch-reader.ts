import type { Position, RegistryUpdate } from "../model/update.js";

/** Changes a reader may lag behind; beyond that, the whole list is shorter. */
const MAX_WAITING = 64;

/** One consumer of a watch, and what it has not yet taken. */
export class Reader {
  #waiting: RegistryUpdate[] = [];
  /** Where it will be when it has taken all of that; undefined where a change has nothing to follow on. */
  #position: Position | undefined;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(since: Position | undefined) {
    this.#position = since;
  }

  /** The whole truth, which overtakes what waits. */
  begin(update: RegistryUpdate): void {
    const position = update.type === "absent" ? undefined : update.position;
    const knows = position !== undefined && position === this.#position;
    if (knows && this.#waiting.length > 0) return;
    this.#position = position;
    this.#waiting = [knows ? { type: "current", position } : update];
    this.#wake?.();
  }

  /** What has changed; `whole` is all there is now, for whoever cannot follow. */
  tell(update: RegistryUpdate, whole: () => RegistryUpdate): void {
    if (update.type === "current") {
      if (this.#waiting.length > 0) return;
      this.#waiting.push(update);
    } else if (update.type === "change") {
      if (update.since !== this.#position || this.#waiting.length >= MAX_WAITING) this.#waiting = [whole()];
      else this.#waiting.push(update);
      this.#position = update.position;
    }
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake?.();
  }

  async next(): Promise<RegistryUpdate> {
    for (;;) {
      const update = this.#waiting.shift();
      if (update) return update;
      if (this.#failure) throw this.#failure.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

/**
 * What a reader is told, until its signal aborts or its watch fails. Then it leaves the others who read the same, and the
 * last one to leave ends it.
 */
export async function* toldTo<R extends Pick<Reader, "fail" | "next">>(
  reader: R,
  readers: Set<R>,
  signal: AbortSignal,
  end: () => void,
): AsyncGenerator<RegistryUpdate> {
  const leave = (): void => {
    reader.fail(signal.reason);
    readers.delete(reader);
    if (readers.size === 0) end();
  };
  readers.add(reader);
  signal.addEventListener("abort", leave, { once: true }); // a reader that never asks again must not be waited for
  try {
    while (!signal.aborted) yield await reader.next();
  } finally {
    signal.removeEventListener("abort", leave);
    leave();
  }
}
