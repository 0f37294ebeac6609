import type { IncomingMessage, ServerResponse } from "node:http";
import type { Server } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../runtime/clock.js";

/** Answers a request in the server's place; false if it is none of its business. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => boolean;

/** The parts of `node:http` and `node:http2` that a plain socket server lacks. */
export type AnyServer = Server & { closeIdleConnections?(): void; closeAllConnections?(): void };

/**
 * What comes to a server and is still there.
 *
 * It looks at the server's events by standing before its `emit`. That is the one place all requests pass, be their
 * listeners added before or after, by whatever framework, and the only one from which a request can be kept from them;
 * a listener of our own could see a request but not keep Express or Fastify from answering it a second time.
 */
export class Traffic {
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
  #wasOpen: boolean;
  #isLeaving = false;

  constructor(server: AnyServer, clock: Clock, answer: Answer) {
    this.#server = server;
    this.#clock = clock;
    this.#answer = answer;
    this.#wasOpen = server.listening;
    this.#emit = server.emit;
    this.#watched = ((event: string | symbol, ...args: unknown[]): boolean =>
      this.#seen(event, args) || Reflect.apply(this.#emit, server, [event, ...args])) as AnyServer["emit"];
    server.emit = this.#watched;
  }

  /** Requests and connections that are not over. */
  get inFlight(): number {
    return this.#responses.size + this.#sockets.size;
  }

  /** Whether the server has ever listened. */
  get wasOpen(): boolean {
    return this.#wasOpen;
  }

  /** When the last request came, by the clock. */
  get lastArrivalAt(): number {
    return this.#lastArrivalAt;
  }

  /** From now on each response asks its client to connect anew, elsewhere. */
  sendAway(): void {
    this.#isLeaving = true;
    for (const response of this.#responses) askToClose(response);
  }

  /** Tells the sessions of HTTP/2 to begin nothing more. */
  endSessions(): void {
    for (const session of this.#sessions) session.close();
  }

  /** Ends what is not over. */
  cut(): void {
    this.#server.closeAllConnections?.();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Looks at the server no more. */
  detach(): void {
    const server = this.#server;
    if (server.emit !== this.#watched) return; // somebody stands before us, and calls us
    Reflect.deleteProperty(server, "emit");
    if (server.emit !== this.#emit) server.emit = this.#emit; // somebody stood there before us
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
        this.#wasOpen = true;
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

/** HTTP/2 knows no such header: its sessions are told by the server itself. */
function askToClose(response: ServerResponse): void {
  if (response.headersSent || response.req.httpVersionMajor !== 1) return;
  response.setHeader("connection", "close");
}
