import { DiscoveryError } from "../model/errors.js";
import { type Clock, systemClock } from "../runtime/clock.js";
import { haltSignal, linked, untilAborted, within } from "../runtime/deadline.js";
import { type HttpClient, type HttpRequest, RefusedWith } from "../runtime/http.js";

/**
 * With others to go to, a node that has not answered within this, in milliseconds, is left: two silent ones still leave
 * time before our callers give up, after 3 s.
 */
const TRY_MS = 1_000;

/** What a node says that could serve if something behind it did: a gateway, or one whose store is away. */
const AWAY = [502, 503, 504];

/**
 * The nodes of one registry, in the order they are tried. All who ask stay with one node while it answers; when it does
 * not they go to the next, and their streams go along: what reads a stream is acknowledged where that was opened.
 *
 * A node that fails at a request (500) may be broken, or the request may be one that none can take. So this one request
 * asks the next, and only if that knows an answer they all go there: else one bad request would drive everybody's
 * streams around for as long as it is repeated.
 */
export class HttpNodes {
  readonly #count: number;
  readonly #clock: Clock;
  #at = 0;
  #moves = 0;
  #here = haltSignal();

  constructor(count: number, clock: Clock = systemClock) {
    this.#count = count;
    this.#clock = clock;
  }

  /** How often a node was left so far: whoever finds another number than before speaks to another node. */
  get moves(): number {
    return this.#moves;
  }

  /**
   * Asks the node that answers by one client for each of them, made in the same order.
   *
   * @param patient whether an answer may take as long as its caller likes: then only a node that is gone is left
   */
  client(clients: readonly HttpClient[], patient = false): HttpClient {
    const [only] = clients;
    if (clients.length === 1 && only) return only;
    return {
      request: (request) =>
        this.#somewhere(request, patient, (at, signal) => (clients[at] as HttpClient).request({ ...request, signal })),
      lines: (request) => this.#stream(clients, request),
      close: async () => void (await Promise.all(clients.map((each) => each.close()))),
    };
  }

  async *#stream(clients: readonly HttpClient[], request: HttpRequest): AsyncGenerator<unknown> {
    const opened = await this.#somewhere(request, false, (at, signal) =>
      this.#opened(clients[at] as HttpClient, request, signal),
    );
    const { lines, first, release } = opened;
    try {
      if (first.done) return;
      yield first.value;
      yield* lines;
    } finally {
      release();
      await lines.return(undefined);
    }
  }

  /** A stream of the node that is asked now, with its first line: it ends when that node is left, be it while it opens. */
  async #opened(client: HttpClient, request: HttpRequest, opening: AbortSignal) {
    const { signal, release } = linked(request.signal, this.#here.signal, opening);
    const lines = client.lines({ ...request, signal });
    try {
      return { lines, first: await untilAborted(lines.next(), opening), release };
    } catch (error) {
      release();
      lines.return(undefined).catch(() => {});
      throw error;
    }
  }

  async #somewhere<T>(
    { method, path, signal }: HttpRequest,
    patient: boolean,
    ask: (at: number, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const asked = (at: number): Promise<T> =>
      patient
        ? ask(at, signal)
        : within(`${method} ${path}`, TRY_MS, { clock: this.#clock, signal }, (inner) => ask(at, inner));
    let at = this.#at;
    let failed: { readonly at: number; readonly error: unknown } | undefined;
    for (let tried = 1; ; tried++) {
      try {
        const answer = await asked(at);
        if (failed) this.#leave(failed.at, failed.error, at);
        return answer;
      } catch (error) {
        if (isAway(error))
          this.#leave(at, error); // also where the caller's own time is over
        else if (isFailure(error)) failed ??= { at, error };
        else if (failed) this.#leave(failed.at, failed.error, at); // a refusal is an answer
        if (!isElsewhere(error) || signal.aborted || tried >= this.#count) throw error;
        at = failed ? this.#after(at) : this.#at;
      }
    }
  }

  #after(at: number): number {
    return (at + 1) % this.#count;
  }

  /** Whoever else asks goes to the next one as well, unless somebody was faster. */
  #leave(at: number, reason: unknown, to = this.#after(at)): void {
    if (this.#at !== at) return;
    this.#at = to;
    this.#moves++;
    const left = this.#here;
    this.#here = haltSignal();
    left.abort(reason);
  }
}

/** What another node may do better. */
function isElsewhere(error: unknown): error is DiscoveryError {
  return DiscoveryError.is(error, "UNAVAILABLE") || DiscoveryError.is(error, "TIMEOUT");
}

/** It is gone, it is silent, or it can reach no store. */
function isAway(error: unknown): boolean {
  return isElsewhere(error) && !isFailure(error);
}

/** It answered that it cannot answer this. */
function isFailure(error: unknown): boolean {
  return isElsewhere(error) && error.cause instanceof RefusedWith && !AWAY.includes(error.cause.status);
}
