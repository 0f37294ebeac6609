import { DiscoveryError } from "../model/errors.js";
import type { Random } from "../runtime/clock.js";
import { haltSignal } from "../runtime/deadline.js";
import { backoff, RECONNECT } from "../runtime/retry.js";
import { Moved, NacosConnection, type NacosListener, type NacosPlug } from "./nacos-connection.js";

/** Two tries are at least so far apart, in milliseconds, however often Nacos asks to connect anew. */
const FLOOR_MS = 100;
/** A connection that lived this long, in milliseconds, was a good one: its end says nothing of the next. */
const STEADY_MS = 10_000;

/** Keeps one connection that pushes, as long as somebody needs it: opened anew whenever it ends, later each time. */
export class NacosLink {
  readonly #plug: NacosPlug;
  readonly #random: Random;
  readonly #listener: NacosListener;
  #connection: NacosConnection | undefined;
  #halt: AbortController | undefined;
  #needed = 0;
  #failures = 0;
  #dueAt = Number.NEGATIVE_INFINITY;

  constructor(plug: NacosPlug, listener: NacosListener, random: Random) {
    this.#plug = plug;
    this.#listener = listener;
    this.#random = random;
  }

  /** The connection, while it is up. */
  get connection(): NacosConnection | undefined {
    return this.#connection;
  }

  /** Keeps it up until the answer is called, or longer if others need it. */
  need(): () => void {
    if (++this.#needed === 1) void this.#keep();
    return () => {
      if (--this.#needed === 0) this.#halt?.abort(new DiscoveryError("CLOSED", "Nobody watches any more"));
    };
  }

  async #keep(): Promise<void> {
    const halt = haltSignal();
    this.#halt = halt;
    const { clock } = this.#plug;
    try {
      while (true) {
        const waitMs = this.#dueAt - clock.now();
        if (waitMs > 0) await clock.sleep(waitMs, halt.signal);
        const openedAt = clock.now();
        const cause = await this.#live(halt.signal).catch((error: unknown) => error);
        const isGood = cause instanceof Moved || clock.now() - openedAt >= STEADY_MS;
        this.#failures = isGood ? 1 : this.#failures + 1;
        const pauseMs = Math.max(FLOOR_MS, backoff(RECONNECT, this.#failures, this.#random));
        this.#dueAt = clock.now() + pauseMs;
      }
    } catch {} // nobody needs it any more
  }

  /** One connection, from its first byte to its end; answers why it ended. */
  async #live(signal: AbortSignal): Promise<unknown> {
    const connection = await NacosConnection.open(this.#plug, this.#listener, signal);
    const leave = (): void => connection.end(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    if (signal.aborted) leave(); // both may have ended since it was set up, and that is not told again
    if (!connection.signal.aborted) {
      this.#become(connection);
      await new Promise<void>((resolve) => {
        connection.signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    signal.removeEventListener("abort", leave);
    if (this.#connection === connection) this.#become(undefined);
    return connection.signal.reason;
  }

  #become(connection: NacosConnection | undefined): void {
    this.#connection = connection;
    this.#listener.changed();
  }
}
