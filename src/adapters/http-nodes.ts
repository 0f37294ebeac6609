import { DiscoveryError } from "../model/errors.js";
import { type Clock, systemClock } from "../runtime/clock.js";
import { haltSignal, linked, untilAborted, within } from "../runtime/deadline.js";
import type { HttpClient, HttpRequest } from "../runtime/http.js";

/**
 * With others to go to, a node that has not answered within this, in milliseconds, is left: two silent ones still leave
 * time before our callers give up, after 3 s.
 */
const TRY_MS = 1_000;

/**
 * The nodes of one registry, in the order they are tried. All who ask stay with one node while it answers; when it does
 * not they go to the next, and their streams go along: what reads a stream is acknowledged where that was opened.
 */
export class HttpNodes {
  readonly #count: number;
  readonly #clock: Clock;
  #at = 0;
  #here = haltSignal();

  constructor(count: number, clock: Clock = systemClock) {
    this.#count = count;
    this.#clock = clock;
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
    for (let tried = 1; ; tried++) {
      const at = this.#at;
      try {
        if (patient) return await ask(at, signal);
        return await within(`${method} ${path}`, TRY_MS, { clock: this.#clock, signal }, (inner) => ask(at, inner));
      } catch (error) {
        if (!isAway(error)) throw error;
        this.#leave(at, error); // also where the caller's own time is over
        if (signal.aborted || tried >= this.#count) throw error;
      }
    }
  }

  /** Whoever else asks goes to the next one as well, unless somebody was faster. */
  #leave(at: number, reason: unknown): void {
    if (this.#at !== at) return;
    this.#at = (at + 1) % this.#count;
    const left = this.#here;
    this.#here = haltSignal();
    left.abort(reason);
  }
}

/** What another node may do better: it is gone, it is silent, or it can reach no store. */
function isAway(error: unknown): boolean {
  return DiscoveryError.is(error, "UNAVAILABLE") || DiscoveryError.is(error, "TIMEOUT");
}
