import type { Discovery } from "../registry/registry.js";
import type { Cancel, Scope } from "../runtime/clock.js";
import { askedPauseMs, backoff, KNOCK } from "../runtime/retry.js";

/** Nobody asks sooner, in milliseconds. */
const FLOOR_MS = 100;
/** A registry that is back is asked ten times a second by each resolver, until all have been told; in milliseconds. */
const SPREAD = { eachMs: 100, capMs: 10_000 } as const;

interface Waiter {
  readonly scope: Scope;
  readonly knock: () => Promise<void>;
  /** @param pauseMs how long it still has to wait */
  readonly end: (pauseMs: number) => void;
}

const comebacks = new WeakMap<Discovery, Comeback>();

/** The one of all who listen to a registry through one resolver: each resolver's view of it is a value of its own. */
export function comebackOf(source: Discovery): Comeback {
  const comeback = comebacks.get(source) ?? new Comeback();
  comebacks.set(source, comeback);
  return comeback;
}

/**
 * Where all services of a resolver wait together for a registry that is away. One question of theirs is under way at a time,
 * asked in turns, however many they are.
 */
export class Comeback {
  /** How often the registry was heard, by whomever. */
  answers = 0;
  readonly #waiting = new Set<Waiter>();
  #asking: Waiter | undefined;
  #turns = 0;
  #dueAt = 0;
  #cancel: Cancel = () => {};

  /** The registry has answered: nobody waits any longer, but they do not come all at once. */
  heard(): void {
    this.answers++;
    this.#turns = 0;
    this.#cancel();
    const spreadMs = Math.min(SPREAD.capMs, SPREAD.eachMs * this.#waiting.size);
    for (const waiter of this.#waiting) {
      waiter.end(waiter === this.#asking ? 0 : FLOOR_MS + spreadMs * waiter.scope.random());
    }
  }

  /** Resolves when the registry was heard; `knock` is called when it is this one's turn to ask. Never rejects. */
  async wait(scope: Scope, knock: () => Promise<void>): Promise<void> {
    const { clock, signal } = scope;
    if (signal.aborted) return;
    const pauseMs = await new Promise<number>((resolve) => {
      const leave = (): void => waiter.end(0);
      const end = (pauseMs: number): void => {
        signal.removeEventListener("abort", leave);
        this.#waiting.delete(waiter);
        this.#arm();
        resolve(pauseMs);
      };
      const waiter: Waiter = { scope, knock, end };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.add(waiter);
      if (this.#turns === 0) this.#plan(scope);
      this.#arm();
    });
    await clock.sleep(pauseMs, signal).catch(() => {});
  }

  #plan({ clock, random }: Scope): void {
    this.#turns++;
    this.#dueAt = clock.now() + Math.max(FLOOR_MS, backoff(KNOCK, this.#turns, random));
  }

  #arm(): void {
    this.#cancel();
    const [next] = this.#waiting;
    if (!next || this.#asking || this.#turns === 0) return;
    const { clock } = next.scope;
    this.#cancel = clock.schedule(this.#dueAt - clock.now(), () => void this.#ask(next));
  }

  async #ask(waiter: Waiter): Promise<void> {
    const { scope, knock } = waiter;
    this.#asking = waiter;
    this.#plan(scope); // from when it is asked, so that one that is silent is not asked later than one that refuses
    await knock().catch((error: unknown) => {
      this.#dueAt = Math.max(this.#dueAt, scope.clock.now() + askedPauseMs(error));
    });
    this.#asking = undefined;
    if (this.#waiting.delete(waiter)) this.#waiting.add(waiter); // behind the others: it may be its own name that fails
    this.#arm();
  }
}
