/** The simulated network in the place of undici's pool: what a process's HTTP client sends through. */
export function carrierOf(network, process, host) {
  return {
    request({ method, path, headers, body, signal }) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const answer = new Body();
        const release = () => signal.removeEventListener("abort", abort);
        const client = {
          begun: (status, given) => resolve({ statusCode: status, headers: given, body: answer }),
          whole(status, given, text) {
            release();
            if (text !== "") answer.push(text);
            answer.end();
            resolve({ statusCode: status, headers: given, body: answer });
          },
          data: (text) => answer.push(text),
          end() {
            release();
            answer.end();
          },
          broken(why) {
            release();
            const error = new Error(why);
            answer.fail(error);
            reject(error);
          },
        };
        const exchange = network.open(process, host, { method, path, headers, body: body ?? "" }, client);
        const abort = () => {
          release();
          exchange.abandon();
          answer.fail(signal.reason);
          reject(signal.reason);
        };
        answer.abandoned = () => {
          release();
          exchange.abandon();
        };
        signal.addEventListener("abort", abort);
      });
    },
    destroy: async () => {},
  };
}

/** An answer's body: as much of node's Readable as the client uses. */
class Body {
  abandoned = () => {};
  #chunks = [];
  #ended = false;
  #error;
  #wake = () => {};

  push(text) {
    this.#chunks.push(text);
    this.#wake();
  }

  end() {
    this.#ended = true;
    this.#wake();
  }

  fail(error) {
    this.#error ??= error;
    this.#wake();
  }

  on() {}

  destroy() {
    if (!this.#ended && !this.#error) this.abandoned();
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) yield Buffer.from(chunk);
      else if (this.#error) throw this.#error;
      else if (this.#ended) return;
      else
        await new Promise((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
