import { type ClientRequest, type RequestOptions, request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import { connect, isIP } from "node:net";
import type { Clock } from "../runtime/clock.js";
import { AddressDenied, type GuardedLookup } from "./guarded-lookup.js";
import type { ProbeTarget } from "./probe-target.js";

/** Of an answer no more than this is read, and none of it kept, in bytes. */
const MAX_BODY = 1_024;
const SERVER_ERROR = 500;

/**
 * What a probe saw. Only `refused`, `timed_out` and `server_error` speak against an instance. `denied` (by our rules) and
 * `unknown` (no name server, no route, no socket left: our own trouble) say nothing of it; anything else is `alive`.
 */
export type Seen = "alive" | "refused" | "timed_out" | "server_error" | "denied" | "unknown";

export interface Probed {
  readonly seen: Seen;
  /** From the attempt to connect until the answer began. */
  readonly latencyMs: number;
}

/** Looks at a target once. Its signal ends it, which counts as a time-out; it never rejects. */
export type Probe = (target: ProbeTarget, signal: AbortSignal) => Promise<Probed>;

/** What every probe needs: how names are resolved, and the time. */
export interface ProbeMeans {
  readonly lookup: GuardedLookup;
  readonly clock: Clock;
}

/** Asks over HTTP where that is spoken, else only connects. */
export function systemProbe(means: ProbeMeans): Probe {
  return (target, signal) =>
    target.scheme === "tcp" ? connecting(target, means, signal) : asking(target, means, signal);
}

/** One GET: no redirect is followed, nothing secret is sent, and of the answer only the status counts. */
function asking(target: ProbeTarget, means: ProbeMeans, signal: AbortSignal): Promise<Probed> {
  const { host, port, path, scheme } = target;
  return new Promise((resolve) => {
    const sight = new Sight(target, means);
    const options = { host, port, path, agent: false, lookup: sight.lookup } satisfies RequestOptions;
    const request: ClientRequest =
      // as kubelet does: nothing is told to whoever answers, and nothing of the answer is believed but that it came
      scheme === "https" ? requestTls({ ...options, rejectUnauthorized: false }) : requestPlain(options);
    const abort = (): void => void request.destroy();
    signal.addEventListener("abort", abort, { once: true });
    request.on("socket", (socket) => socket.once("connect", () => sight.connected()));
    request.on("response", (response) => {
      sight.answered((response.statusCode ?? 0) >= SERVER_ERROR ? "server_error" : "alive");
      let read = 0;
      response.on("error", () => {}); // it was cut off: by us, or after it had said enough
      response.on("data", (chunk: Buffer) => {
        read += chunk.length;
        if (read > MAX_BODY) request.destroy();
      });
    });
    request.on("error", (error) => sight.broke(error, signal.aborted));
    request.on("close", () => {
      signal.removeEventListener("abort", abort);
      resolve(sight.told());
    });
    request.end();
    if (signal.aborted) abort();
  });
}

/** Whether somebody accepts a connection. */
export function connecting(target: ProbeTarget, means: ProbeMeans, signal: AbortSignal): Promise<Probed> {
  const { host, port } = target;
  return new Promise((resolve) => {
    const sight = new Sight(target, means);
    const socket = connect({ host, port, lookup: sight.lookup });
    const abort = (): void => void socket.destroy();
    signal.addEventListener("abort", abort, { once: true });
    socket.once("connect", () => {
      sight.answered("alive");
      socket.destroy();
    });
    socket.on("error", (error) => sight.broke(error, signal.aborted));
    socket.once("close", () => {
      signal.removeEventListener("abort", abort);
      resolve(sight.told());
    });
    if (signal.aborted) abort();
  });
}

/** How far a probe has come, and what it would mean if nothing more happened. */
class Sight {
  readonly lookup;
  readonly #clock: Clock;
  #since: number;
  #seen: Seen;
  #latencyMs: number | undefined;
  #isConnected = false;

  constructor({ host, local }: ProbeTarget, { lookup, clock }: ProbeMeans) {
    this.#clock = clock;
    this.#since = clock.now();
    this.#seen = isIP(host) === 0 ? "unknown" : "timed_out"; // a slow name server is not the instance's fault
    this.lookup = lookup.for(local, () => {
      this.#since = clock.now();
      this.#seen = "timed_out";
    });
  }

  connected(): void {
    this.#isConnected = true;
  }

  /** The first answer holds. */
  answered(seen: Seen): void {
    if (this.#latencyMs !== undefined) return;
    this.#seen = seen;
    this.#latencyMs = this.#clock.now() - this.#since;
  }

  /** @param byUs whether the error is only our own end of the attempt */
  broke(error: Error, byUs: boolean): void {
    if (!byUs) this.answered(this.#isConnected ? "alive" : seenIn(error)); // whoever hangs up is there
  }

  told(): Probed {
    return { seen: this.#seen, latencyMs: this.#latencyMs ?? this.#clock.now() - this.#since };
  }
}

/** What an error before the connection says. */
function seenIn(error: Error & { readonly code?: string; readonly errors?: readonly Error[] }): Seen {
  if (error instanceof AddressDenied) return "denied";
  if (error.errors) {
    const all = error.errors.map(seenIn); // each address of a name was tried; one without a route says nothing
    return all.includes("refused") ? "refused" : all.includes("timed_out") ? "timed_out" : "unknown";
  }
  if (error.code === "ECONNREFUSED") return "refused";
  return error.code === "ETIMEDOUT" ? "timed_out" : "unknown";
}
