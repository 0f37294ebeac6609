import { EventEmitter } from "eventemitter3";

/** A map of event names to what their listeners take. */
export type EventMap = Record<string, (event: never) => void>;

/** Every emitter also tells of listeners that threw or rejected. */
export interface ListenerError {
  readonly event: string;
  readonly error: unknown;
}

type AnyListener = (event: never) => void;

/** Typed events whose listeners cannot hurt the emitter, nor each other. */
export class Emitter<E extends EventMap> {
  readonly #events = new EventEmitter<Record<string, (payload: unknown, event: string) => void>>();
  readonly #guards = new WeakMap<AnyListener, (payload: unknown, event: string) => void>();

  /** Calls `listener` at every `event`. What it throws or rejects with goes to `listenerError`. */
  on<K extends keyof E & string>(event: K, listener: E[K]): this;
  on(event: "listenerError", listener: (event: ListenerError) => void): this;
  on(event: string, listener: AnyListener): this {
    this.#events.on(event, this.#guarded(listener));
    return this;
  }

  /** Calls `listener` at the next `event` only. */
  once<K extends keyof E & string>(event: K, listener: E[K]): this;
  once(event: "listenerError", listener: (event: ListenerError) => void): this;
  once(event: string, listener: AnyListener): this {
    this.#events.once(event, this.#guarded(listener));
    return this;
  }

  /** Ends what `on` or `once` began. */
  off<K extends keyof E & string>(event: K, listener: E[K]): this;
  off(event: "listenerError", listener: (event: ListenerError) => void): this;
  off(event: string, listener: AnyListener): this {
    this.#events.off(event, this.#guarded(listener));
    return this;
  }

  /** The same as `off`, under the name that Node's `events.once()` asks for. */
  removeListener<K extends keyof E & string>(event: K, listener: E[K]): this {
    return this.off(event, listener);
  }

  /** Whether anybody listens: spares the making of an event nobody hears. */
  protected heard(event: keyof E & string): boolean {
    return this.#events.listenerCount(event) > 0;
  }

  protected emit<K extends keyof E & string>(event: K, payload: Parameters<E[K]>[0]): void {
    this.#events.emit(event, payload, event);
  }

  /** eventemitter3 would end at the first listener that throws, and throw at whoever emitted. */
  #guarded(listener: AnyListener): (payload: unknown, event: string) => void {
    let guard = this.#guards.get(listener);
    if (!guard) {
      guard = (payload, event) => {
        try {
          const result: unknown = listener(payload as never);
          if (result instanceof Promise) result.catch((error: unknown) => this.#failed(event, error));
        } catch (error) {
          this.#failed(event, error);
        }
      };
      this.#guards.set(listener, guard);
    }
    return guard;
  }

  #failed(event: string, error: unknown): void {
    if (event !== "listenerError" && this.#events.listenerCount("listenerError") > 0) {
      this.#events.emit("listenerError", { event, error } satisfies ListenerError, "listenerError");
      return;
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.emitWarning(`A listener of "${event}" failed: ${text}`, { code: "DISCOVERY_LISTENER" });
  }
}
