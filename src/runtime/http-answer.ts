import type { Readable } from "node:stream";
import type { Dispatcher } from "undici";

/** The most a registry's answer may hold, in bytes: 16 MiB, enough for 50,000 instances. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Passes over the mark that some servers and proxies begin a text with: to JSON it is a syntax error. */
const UTF8 = new TextDecoder();

/** An answer as it came, read to its end. */
export interface WholeAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** What carries requests: undici's pool, or the simulation's network, which answers in streams only. */
export type Carrier = Pick<Dispatcher, "request" | "destroy"> & Partial<Pick<Dispatcher, "dispatch">>;

/** An answer that nobody wants to hold in memory. */
export class TooLong extends Error {
  constructor() {
    super(`more than ${MAX_BYTES} bytes`);
  }
}

/** Sends one request and reads its answer to the end. @throws {TooLong} */
export async function wholeAnswer(
  carrier: Carrier,
  options: Dispatcher.DispatchOptions,
  signal: AbortSignal,
): Promise<WholeAnswer> {
  if (carrier.dispatch) return dispatched(carrier as Pick<Dispatcher, "dispatch">, options, signal);
  const { statusCode, headers, body } = await carrier.request({ ...options, signal });
  return { status: statusCode, headers, text: await textOf(body) };
}

/** A stream's text. @throws {TooLong} */
export async function textOf(body: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new TooLong();
    chunks.push(chunk);
  }
  return UTF8.decode(Buffer.concat(chunks, size));
}

/**
 * Straight from undici's callbacks: a stream in between costs a short answer as much time as reading it does. Rejects
 * as soon as the signal aborts, also while the request waits for a socket.
 */
function dispatched(
  dispatcher: Pick<Dispatcher, "dispatch">,
  options: Dispatcher.DispatchOptions,
  signal: AbortSignal,
): Promise<WholeAnswer> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    let controller: Dispatcher.DispatchController | undefined;
    let [status, size] = [0, 0];
    let headers: WholeAnswer["headers"] = {};
    const chunks: Buffer[] = [];
    const stop = (reason: Error): void => {
      reject(reason);
      controller?.abort(reason);
    };
    const aborted = (): void => stop(signal.reason);
    const release = (): void => signal.removeEventListener("abort", aborted);
    signal.addEventListener("abort", aborted, { once: true });
    dispatcher.dispatch(options, {
      onRequestStart(started) {
        controller = started;
        if (signal.aborted) throw signal.reason; // its turn came too late: before a byte is written, so the connection stays
      },
      onResponseStart(_, code, told) {
        status = code;
        headers = told;
      },
      onResponseData(_, chunk) {
        size += chunk.length;
        chunks.push(chunk);
        if (size > MAX_BYTES) stop(new TooLong());
      },
      onResponseEnd() {
        release();
        resolve({ status, headers, text: UTF8.decode(Buffer.concat(chunks, size)) });
      },
      onResponseError(_, error) {
        release();
        if (lacksNothing(status, error)) resolve({ status, headers, text: "" });
        else reject(error);
      },
    });
  });
}

/** An answer without a body may tell how long that would have been (RFC 9110, section 8.6); undici misses it then. */
function lacksNothing(status: number, error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return (status === 304 || status === 204) && code === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH";
}
