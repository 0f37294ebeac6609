import { Agent, Dispatcher } from "undici";
import type { DispatchOptions, Handler } from "./handler.js";
import type { CallOptions } from "./options.js";
import type { ServiceNames } from "./service-names.js";

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
  readonly #names: ServiceNames;
  #others: Agent | undefined;

  /** @internal Use `resolver.dispatcher()`. */
  constructor(services: (name: string) => ServiceCaller, names: ServiceNames) {
    super();
    this.#services = services;
    this.#names = names;
  }

  override dispatch(options: DispatchOptions & CallOptions, handler: Handler): boolean {
    const name = this.#names.of(options.origin);
    if (name !== undefined) return dispatchTo(this.#services, name, options, handler);
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
}

/** Makes one call to a service; what goes wrong before it begins is told to the handler, like everything after. */
export function dispatchTo(
  services: (name: string) => ServiceCaller,
  name: string,
  options: DispatchOptions & CallOptions,
  handler: Handler,
): boolean {
  try {
    return services(name).dispatch(options, handler);
  } catch (error) {
    return fail(handler, error as Error);
  }
}

function fail(handler: Handler, error: Error): boolean {
  if (handler.onResponseError) handler.onResponseError(undefined as never, error);
  else if (handler.onError) handler.onError(error);
  else throw error;
  return false;
}
