import { Agent, Dispatcher } from "undici";
import type { DispatchOptions } from "./attempt.js";
import type { Handler } from "./handler.js";
import type { CallOptions } from "./options.js";

/** Origins whose meaning is remembered; beyond that the memory starts anew. */
const REMEMBERED = 10_000;

/** Whoever can make a call to one service. */
export interface ServiceCaller {
  dispatch(options: DispatchOptions & CallOptions, handler: Handler): boolean;
}

/**
 * An undici dispatcher that goes by service name: give it to `fetch`, `request` or `setGlobalDispatcher`, and
 * `http://orders/…` reaches an instance of `orders`. Other hosts pass through untouched.
 */
export class ServiceDispatcher extends Dispatcher {
  readonly #services: (name: string) => ServiceCaller;
  readonly #isService: (host: string) => boolean;
  readonly #names = new Map<string, string | undefined>();
  #others: Agent | undefined;

  /** @internal Use `resolver.dispatcher()`. */
  constructor(services: (name: string) => ServiceCaller, isService: (host: string) => boolean) {
    super();
    this.#services = services;
    this.#isService = isService;
  }

  override dispatch(options: DispatchOptions & CallOptions, handler: Handler): boolean {
    const name = this.#nameOf(options.origin);
    if (name !== undefined) {
      try {
        return this.#services(name).dispatch(options, handler);
      } catch (error) {
        return fail(handler, error as Error);
      }
    }
    this.#others ??= new Agent();
    return this.#others.dispatch(options, handler);
  }

  /** Closes the connections to hosts that are no services; those of services belong to the resolver. */
  override close(callback?: () => void): Promise<void> & void {
    const closed = this.#others?.close() ?? Promise.resolve();
    if (callback) void closed.then(callback);
    return closed as Promise<void> & void;
  }

  /** As `close()`, without waiting for what is in flight. */
  override destroy(...given: unknown[]): Promise<void> & void {
    const callback = given.find((each) => typeof each === "function") as (() => void) | undefined;
    const destroyed = this.#others?.destroy() ?? Promise.resolve();
    if (callback) void destroyed.then(callback);
    return destroyed as Promise<void> & void;
  }

  #nameOf(origin: string | URL | undefined): string | undefined {
    const key = typeof origin === "string" ? origin : (origin?.origin ?? "");
    const known = this.#names.get(key);
    if (known !== undefined || this.#names.has(key)) return known;
    const host = hostOf(key);
    const name = host !== undefined && this.#isService(host) ? host : undefined;
    if (this.#names.size >= REMEMBERED) this.#names.clear();
    this.#names.set(key, name);
    return name;
  }
}

/** The host of an `http:` or `https:` origin, with its port if there is one. */
function hostOf(origin: string): string | undefined {
  try {
    const { protocol, host } = new URL(origin);
    return protocol === "http:" || protocol === "https:" ? host : undefined;
  } catch {
    return undefined;
  }
}

function fail(handler: Handler, error: Error): boolean {
  if (handler.onResponseError) handler.onResponseError(undefined as never, error);
  else if (handler.onError) handler.onError(error);
  else throw error;
  return false;
}
