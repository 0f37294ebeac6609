import { request } from "undici";

/** What a registry's watch says, line by line. */
export interface Lines {
  /** The next line as JSON, or as text if it is none; undefined once the stream is over. */
  // biome-ignore lint/suspicious/noExplicitAny: events are looked into as they come
  next(): Promise<any>;
  end(): void;
}

/** Opens a watch over a real socket. */
export async function openLines(url: string, options: { body?: unknown; accept?: string; lastId?: string } = {}) {
  const { body: sent, accept, lastId } = options;
  const { statusCode, body } = await request(url, {
    method: sent === undefined ? "GET" : "POST",
    headers: {
      ...(sent === undefined ? {} : { "content-type": "application/json" }),
      ...(accept === undefined ? {} : { accept }),
      ...(lastId === undefined ? {} : { "last-event-id": lastId }),
    },
    body: sent === undefined ? null : JSON.stringify(sent),
  });
  body.setEncoding("utf8").on("error", () => {});
  const chunks = body[Symbol.asyncIterator]();
  let rest = "";
  const lines: Lines & { readonly status: number } = {
    status: statusCode,
    async next() {
      while (!rest.includes("\n")) {
        const { value, done } = await chunks.next().catch(() => ({ value: undefined, done: true }));
        if (done) return undefined;
        rest += value;
      }
      const line = rest.slice(0, rest.indexOf("\n"));
      rest = rest.slice(line.length + 1);
      return line.startsWith("{") ? JSON.parse(line) : line;
    },
    end: () => void body.destroy(),
  };
  return lines;
}
