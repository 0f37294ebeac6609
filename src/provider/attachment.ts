import type { AddressInfo, Server } from "node:net";
import type { Clock } from "../runtime/clock.js";
import { haltSignal, untilAborted, within } from "../runtime/deadline.js";
import { type Answer, type AnyServer, Traffic } from "./traffic.js";

/** A server cut off closes within this, in milliseconds, or is left behind. */
const CUT_MS = 500;

/** How a server is closed. All durations in milliseconds. */
export interface Closing {
  /** No request has come for this long: nobody picks us any more. 0 does not wait. */
  readonly quietMs: number;
  /** At most so long is waited for that. */
  readonly quietWithinMs: number;
  /** For all of it, until what is still in flight is cut off. */
  readonly graceMs: number;
  /** Closes the server in place of `server.close()`. */
  readonly close: (() => unknown) | undefined;
}

/** What came of it. */
export interface Closed {
  /** Requests and upgraded connections that were cut off. */
  readonly inFlight: number;
  /** What the user's own `close` failed with. */
  readonly closeError?: unknown;
}

/** A server as its agent sees it: where it listens, what is in flight, and how it is closed without losing a request. */
export class Attachment {
  readonly #server: AnyServer;
  readonly #clock: Clock;
  readonly #traffic: Traffic;

  constructor(server: Server, clock: Clock, answer: Answer) {
    this.#server = server;
    this.#clock = clock;
    this.#traffic = new Traffic(server, clock, answer);
  }

  get inFlight(): number {
    return this.#traffic.inFlight;
  }

  /** Whether it neither listens nor has anything in flight. */
  get isClosed(): boolean {
    return !this.#server.listening && this.inFlight === 0;
  }

  /** Where the server listens, as soon as it does; the port is undefined on a pipe. */
  async listening(signal: AbortSignal): Promise<Partial<AddressInfo>> {
    const server = this.#server;
    if (!server.listening) {
      let begun = (): void => {};
      const listening = new Promise<void>((resolve) => {
        begun = resolve;
        server.once("listening", begun);
      });
      await untilAborted(listening, signal).finally(() => server.off("listening", begun));
    }
    const address = server.address();
    return typeof address === "object" && address !== null ? address : {};
  }

  /** Calls `run` when the server was closed, by whomever. */
  onClosed(run: () => void): void {
    this.#server.once("close", run);
  }

  /** From now on each response asks its client to connect anew, elsewhere. New requests are served all the same. */
  leave(): void {
    this.#traffic.sendAway();
    if (!this.#traffic.wasOpen) this.#server.once("listening", () => this.#server.close()); // it would outlive its agent
  }

  /** Waits until nobody comes any more, closes the port, lets finish what is in flight, then cuts off the rest. */
  async close({ quietMs, quietWithinMs, graceMs, close }: Closing): Promise<Closed> {
    const begunAt = this.#clock.now();
    const isOpen = this.#server.listening;
    const closed = this.isClosed ? Promise.resolve() : this.#closed();
    if (isOpen) await this.#untilQuiet(quietMs, begunAt, begunAt + quietWithinMs);
    const shut = this.#shut(close).then(
      () => ({}),
      (closeError: unknown) => ({ closeError }),
    );
    const leftMs = Math.max(0, begunAt + graceMs - this.#clock.now());
    const isDone = await this.#endsWithin(leftMs, Promise.all([shut, closed]));
    const inFlight = isDone ? 0 : this.inFlight;
    if (!isDone) {
      this.#cut();
      await this.#endsWithin(CUT_MS, closed);
    }
    this.#traffic.detach();
    return { inFlight, ...(isDone ? await shut : {}) };
  }

  #closed(): Promise<void> {
    return new Promise((resolve) => void this.#server.once("close", resolve));
  }

  async #untilQuiet(quietMs: number, from: number, until: number): Promise<void> {
    while (true) {
      const { lastArrivalAt } = this.#traffic;
      const waitMs = quietIn({ now: this.#clock.now(), from, until, quietMs, lastArrivalAt });
      if (waitMs <= 0) return;
      await this.#clock.sleep(waitMs);
    }
  }

  async #shut(close: Closing["close"]): Promise<void> {
    this.#traffic.endSessions();
    try {
      await close?.();
    } finally {
      if (this.#server.listening) this.#server.close();
      this.#server.closeIdleConnections?.();
    }
  }

  #cut(): void {
    if (this.#server.listening) this.#server.close();
    this.#traffic.cut();
  }

  async #endsWithin(ms: number, task: Promise<unknown>): Promise<boolean> {
    const scope = { clock: this.#clock, signal: haltSignal().signal };
    return within("closing the server", ms, scope, () => task).then(
      () => true,
      () => false,
    );
  }
}

/**
 * How long until it is quiet, in milliseconds; 0 if it is. Consumers that have heard may still have picked us just
 * before; those that never ask a registry may come for ever, so `until` ends it.
 */
export function quietIn(at: {
  readonly now: number;
  readonly from: number;
  readonly until: number;
  readonly quietMs: number;
  readonly lastArrivalAt: number;
}): number {
  const quietAt = Math.max(at.from, at.lastArrivalAt) + at.quietMs;
  return Math.max(0, Math.min(quietAt, at.until) - at.now);
}
