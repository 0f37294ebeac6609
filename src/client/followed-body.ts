import { isReplayable } from "./failure.js";

/** A body that is pulled, and remembers how its source does: what `fetch` sends, a generator, a stream of the web. */
export class FollowedBody implements AsyncIterable<unknown> {
  readonly #source: AsyncIterable<unknown>;
  #isAsked = false;
  #errored: unknown = undefined;

  constructor(source: AsyncIterable<unknown>) {
    this.#source = source;
  }

  /** Its source owes the next chunk. While the instance takes no more, undici asks for none. */
  get isAsked(): boolean {
    return this.#isAsked;
  }

  /** What the source failed with. */
  get errored(): unknown {
    return this.#errored;
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    const source = this.#opened();
    const next = async (): Promise<IteratorResult<unknown>> => {
      this.#isAsked = true;
      try {
        return await source.next();
      } catch (error) {
        throw this.#failed(error);
      } finally {
        this.#isAsked = false;
      }
    };
    return { next, return: async () => (await source.return?.()) ?? { done: true, value: undefined } };
  }

  /** A stream that was read before, or is being read, cannot be. */
  #opened(): AsyncIterator<unknown> {
    try {
      return this.#source[Symbol.asyncIterator]();
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** undici takes no notice of what is undefined, which is what a stream fails with that gives no reason. */
  #failed(error: unknown): unknown {
    this.#errored = error ?? new Error("The body failed, and its source does not say why");
    return this.#errored;
  }
}

/** The options of a call, its body followed if that is pulled. Node's streams tell how they are by themselves. */
export function following<T extends { readonly body?: unknown }>(options: T): T {
  const { body } = options;
  if (isReplayable(body) || !isPulled(body)) return options;
  return { ...options, body: new FollowedBody(body) };
}

function isPulled(body: unknown): body is AsyncIterable<unknown> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body && !("pipe" in body);
}
