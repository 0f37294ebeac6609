import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Server } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../runtime/clock.js";
import { haltSignal, untilAborted, within } from "../runtime/deadline.js";

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

/** Answers a request in the server's place; false if it is none of its business. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => boolean;

/** The parts of `node:http` and `node:http2` that a plain socket server lacks. */
type AnyServer = Server & { closeIdleConnections?(): void; closeAllConnections?(): void };

/**
 * A server as its agent sees it: where it listens, what is in flight, and how it is closed without losing a request.
 *
 * It looks at the server's events by standing before its `emit`. That is the one place all requests pass, be their
 * listeners added before or after, by whatever framework, and the only one from which a request can be kept from them;
 * a listener of our own could see a request but not keep Express or Fastify from answering it a second time.
 */
export class Attachment {
  readonly #server: AnyServer;
  readonly #clock: Clock;
  readonly #answer: Answer;
  readonly #emit: AnyServer["emit"];
  readonly #watched: AnyServer["emit"];
  readonly #responses = new Set<ServerResponse>();
  /** Connections the server does not close by itself: upgraded ones, and all of a server that is not HTTP. */
  readonly #sockets = new Set<Duplex>();
  readonly #sessions = new Set<{ close(): void }>();
  #lastArrivalAt = Number.NEGATIVE_INFINITY;
  #hasListened: boolean;
  #isLeaving = false;

  constructor(server: Server, clock: Clock, answer: Answer) {
    this.#server = server;
    this.#clock = clock;
    this.#answer = answer;
    this.#hasListened = server.listening;
    this.#emit = server.emit;
    this.#watched = ((event: string | symbol, ...args: unknown[]): boolean =>
      this.#seen(event, args) || Reflect.apply(this.#emit, server, [event, ...args])) as AnyServer["emit"];
    server.emit = this.#watched;
  }

  get inFlight(): number {
    return this.#responses.size + this.#sockets.size;
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
    this.#isLeaving = true;
    for (const response of this.#responses) askToClose(response);
    if (!this.#hasListened) this.#server.once("listening", () => this.#server.close()); // it would outlive its agent
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
    this.#detach();
    return { inFlight, ...(isDone ? await shut : {}) };
  }

  #detach(): void {
    const server = this.#server;
    if (server.emit !== this.#watched) return; // somebody stands before us, and calls us
    Reflect.deleteProperty(server, "emit");
    if (server.emit !== this.#emit) server.emit = this.#emit; // somebody stood there before us
  }

  #closed(): Promise<void> {
    return new Promise((resolve) => void this.#server.once("close", resolve));
  }

  async #untilQuiet(quietMs: number, from: number, until: number): Promise<void> {
    while (true) {
      const waitMs = quietIn({ now: this.#clock.now(), from, until, quietMs, lastArrivalAt: this.#lastArrivalAt });
      if (waitMs <= 0) return;
      await this.#clock.sleep(waitMs);
    }
  }

  async #shut(close: Closing["close"]): Promise<void> {
    for (const session of this.#sessions) session.close();
    try {
      await close?.();
    } finally {
      if (this.#server.listening) this.#server.close();
      this.#server.closeIdleConnections?.();
    }
  }

  #cut(): void {
    if (this.#server.listening) this.#server.close();
    this.#server.closeAllConnections?.();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #endsWithin(ms: number, task: Promise<unknown>): Promise<boolean> {
    const scope = { clock: this.#clock, signal: haltSignal().signal };
    return within("closing the server", ms, scope, () => task).then(
      () => true,
      () => false,
    );
  }

  /** True if the event was dealt with, and nobody else should hear of it. */
  #seen(event: string | symbol, [first, second]: unknown[]): boolean {
    switch (event) {
      case "request":
      case "checkContinue":
      case "checkExpectation":
        return this.#arrived(first as IncomingMessage, second as ServerResponse);
      case "upgrade":
      case "connect":
        this.#lastArrivalAt = this.#clock.now();
        this.#follow(second as Duplex);
        return false;
      case "connection":
        if (!this.#server.closeAllConnections) this.#follow(first as Duplex);
        return false;
      case "session":
        this.#sessions.add(first as { close(): void });
        (first as Duplex).once("close", () => this.#sessions.delete(first as { close(): void }));
        return false;
      case "listening":
        this.#hasListened = true;
        return false;
      default:
        return false;
    }
  }

  #arrived(request: IncomingMessage, response: ServerResponse): boolean {
    if (this.#isLeaving) askToClose(response);
    if (this.#answer(request, response)) return true;
    this.#lastArrivalAt = this.#clock.now();
    if (this.#responses.has(response)) return false; // `checkContinue` may be passed on as `request`
    this.#responses.add(response);
    response.once("close", () => {
      this.#responses.delete(response);
      if (this.#isLeaving && !this.#server.listening) this.#server.closeIdleConnections?.();
    });
    return false;
  }

  #follow(socket: Duplex): void {
    if (this.#sockets.has(socket)) return;
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
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

/** HTTP/2 knows no such header: its sessions are told by the server itself. */
function askToClose(response: ServerResponse): void {
  if (response.headersSent || response.req.httpVersionMajor !== 1) return;
  response.setHeader("connection", "close");
}
