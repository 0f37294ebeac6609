import { DiscoveryError } from "../model/errors.js";
import type { Random } from "../runtime/clock.js";
import { haltSignal } from "../runtime/deadline.js";
import { channels } from "../runtime/diagnostics.js";
import { backoff, RECONNECT } from "../runtime/retry.js";
import type { GrpcAddress } from "./nacos-channel.js";
import { Moved, NacosConnection, type NacosListener, type NacosPlug } from "./nacos-connection.js";

/** Two tries are at least so far apart, in milliseconds, however often Nacos asks to connect anew. */
const FLOOR_MS = 100;
/** A connection that lived this long, in milliseconds, was a good one: its end says nothing of the next. */
const STEADY_MS = 10_000;
/** A sound server pushes something half a second after a subscription; one that has not by then, in milliseconds, is deaf. */
const PROOF_MS = 2_000;

/** What a connection needs, and at which servers of the cluster it may be opened. */
export interface NacosPlugs extends Omit<NacosPlug, "address"> {
  readonly addresses: readonly GrpcAddress[];
}

/**
 * Keeps one connection that pushes, as long as somebody needs it: opened anew at the next server whenever it ends, later
 * each time. The first server is drawn, so that those who share a list do not all hang on one.
 */
export class NacosLink {
  readonly #plugs: NacosPlugs;
  readonly #random: Random;
  readonly #listener: NacosListener;
  #connection: NacosConnection | undefined;
  #halt: AbortController | undefined;
  #needed = 0;
  #failures = 0;
  #tries: number;
  #isLost = false;
  #upAt = 0;
  #dueAt = Number.NEGATIVE_INFINITY;

  constructor(plugs: NacosPlugs, listener: NacosListener, random: Random) {
    this.#plugs = plugs;
    this.#listener = listener;
    this.#random = random;
    this.#tries = Math.floor(random() * plugs.addresses.length);
  }

  /** The connection, while it is up. */
  get connection(): NacosConnection | undefined {
    return this.#connection;
  }

  /** Whether changes are pushed, as far as is known: nobody knows before a first try has ended. */
  get isPushing(): boolean {
    const connection = this.#connection;
    if (!connection) return !this.#isLost;
    return connection.isProven || this.#plugs.clock.now() - this.#upAt < PROOF_MS;
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
    const { clock } = this.#plugs;
    try {
      while (true) {
        const waitMs = this.#dueAt - clock.now();
        if (waitMs > 0) await clock.sleep(waitMs, halt.signal);
        const openedAt = clock.now();
        const cause = await this.#live(halt.signal).catch((error: unknown) => error);
        if (!halt.signal.aborted) this.#turn("poll", cause);
        const isGood = cause instanceof Moved || clock.now() - openedAt >= STEADY_MS;
        this.#failures = isGood ? 1 : this.#failures + 1;
        const pauseMs = Math.max(FLOOR_MS, backoff(RECONNECT, this.#failures, this.#random));
        this.#dueAt = clock.now() + pauseMs;
      }
    } catch {} // nobody needs it any more
  }

  /** One connection, from its first byte to its end; answers why it ended. */
  async #live(signal: AbortSignal): Promise<unknown> {
    const { addresses } = this.#plugs;
    const address = addresses[this.#tries++ % addresses.length] as GrpcAddress;
    const connection = await NacosConnection.open({ ...this.#plugs, address }, this.#listener, signal);
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
    this.#upAt = this.#plugs.clock.now();
    if (connection) this.#turn("stream");
    this.#listener.changed();
  }

  /** Says once that pushes have ended, and once that they are back. */
  #turn(watch: "stream" | "poll", error?: unknown): void {
    const isLost = watch === "poll";
    if (this.#isLost === isLost) return;
    this.#isLost = isLost;
    const registry = this.#plugs.client.name;
    if (channels.watch.hasSubscribers) channels.watch.publish({ registry, watch, error });
  }
}
