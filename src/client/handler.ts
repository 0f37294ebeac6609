import { type Dispatcher, util } from "undici";

/** The callbacks undici 7 calls, all of them; what a handler lacks is harmless to call through here. */
export type Handler = Dispatcher.DispatchHandler;
/** What undici is handed for one try. */
export type DispatchOptions = Dispatcher.DispatchOptions;
type RawHeaders = Buffer[];
type Abort = (reason?: Error) => void;

/**
 * A handler in the older of undici's two forms, which undici 7 calls directly. Its own `request` and `fetch`, and
 * Node's up to 24, speak it; undici 8's and later Nodes' handlers speak the newer one and are translated. What undici 7
 * wraps around a handler of the older form when it composes speaks both: translated, it would translate all back.
 */
export function olderForm(handler: Handler): Handler {
  return handler.onRequestStart && !speaksOlderForm(handler) ? new Translated(handler) : handler;
}

/** Whether the older form is there whole: half of one beside the newer is a leftover nobody calls. */
function speaksOlderForm({ onConnect, onHeaders, onData, onComplete, onUpgrade, onError }: Handler): boolean {
  return !!(onConnect && onHeaders && onData && onComplete && onUpgrade && onError);
}

class Translated implements Handler {
  readonly #handler: Handler;
  #controller: Controller | undefined;

  constructor(handler: Handler) {
    this.#handler = handler;
  }

  onConnect(abort: Abort): void {
    this.#controller = new Controller(abort);
    this.#handler.onRequestStart?.(this.#controller, undefined);
  }

  onHeaders(statusCode: number, rawHeaders: RawHeaders, resume: () => void, statusText: string): boolean {
    const controller = this.#with(rawHeaders, resume);
    this.#handler.onResponseStart?.(controller, statusCode, util.parseHeaders(rawHeaders), statusText);
    return !controller.paused;
  }

  onData(chunk: Buffer): boolean {
    const controller = this.#controller as Controller;
    this.#handler.onResponseData?.(controller, chunk);
    return !controller.paused;
  }

  onComplete(trailers: string[] | null): void {
    const parsed = util.parseHeaders((trailers ?? []) as never);
    this.#handler.onResponseEnd?.(this.#controller as Controller, parsed);
  }

  onUpgrade(statusCode: number, rawHeaders: RawHeaders | string[] | null, socket: never): void {
    const headers = util.parseHeaders((rawHeaders ?? []) as never);
    this.#handler.onRequestUpgrade?.(this.#controller as Controller, statusCode, headers, socket);
  }

  onError(error: Error): void {
    this.#handler.onResponseError?.(this.#controller as Controller, error);
  }

  #with(rawHeaders: RawHeaders, resume: () => void): Controller {
    const controller = this.#controller as Controller;
    controller.rawHeaders = rawHeaders;
    controller.onResume = resume;
    return controller;
  }
}

class Controller implements Dispatcher.DispatchController {
  aborted = false;
  paused = false;
  reason: Error | null = null;
  rawHeaders: RawHeaders | null = null;
  rawTrailers: RawHeaders | null = null;
  onResume: () => void = () => {};
  readonly #abort: Abort;

  constructor(abort: Abort) {
    this.#abort = abort;
  }

  abort(reason: Error): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.#abort(reason);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.onResume();
  }
}
