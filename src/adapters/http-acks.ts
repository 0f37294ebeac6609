import type { HttpClient } from "../runtime/http.js";

/**
 * Tells a registry what the readers of one stream have applied: in the background, one request at a time. What is newer
 * takes the place of what still waits for its turn. A failure is nobody's loss: those who leave wait only so long.
 */
export class Acks {
  readonly #client: HttpClient;
  readonly #watchId: string;
  readonly #signal: AbortSignal;
  /** The latest revision of each service that the registry has yet to hear of. */
  readonly #due = new Map<string, number>();
  #sending = false;

  /** @param signal aborts when the stream is over: nobody waits for its readers then */
  constructor(client: HttpClient, watchId: string, signal: AbortSignal) {
    this.#client = client;
    this.#watchId = watchId;
    this.#signal = signal;
  }

  /** What each of so many readers calls once it has applied an event; the last of them has it acknowledged. */
  after(readers: number, service: string, revision: number): () => void {
    let left = readers;
    const applied = (): void => {
      left--;
      if (left <= 0) this.#acknowledge(service, revision);
    };
    if (readers === 0) applied(); // whoever watched it has left, and calls nobody
    return applied;
  }

  #acknowledge(service: string, revision: number): void {
    this.#due.set(service, revision);
    if (!this.#sending) void this.#send();
  }

  async #send(): Promise<void> {
    const signal = this.#signal;
    this.#sending = true;
    for (const [service_name, revision] of this.#due) {
      this.#due.delete(service_name); // if it comes again meanwhile, it comes again here
      if (signal.aborted) continue;
      const body = { watch_id: this.#watchId, service_name, revision };
      await this.#client.request({ method: "POST", path: "/v1/watch/ack", signal, body }).catch(() => {});
    }
    this.#sending = false;
  }
}
