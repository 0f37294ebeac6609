import type { Dispatcher } from "undici";
import { dispatchTo, type ServiceCaller } from "./dispatcher.js";
import type { ServiceNames } from "./service-names.js";

/**
 * The dispatcher's way as an interceptor, for those who compose: `new Agent().compose(resolver.interceptor())`. Calls to
 * services end here; other hosts go on to whatever it is composed with. Handlers of undici 7 and of undici 8 are both
 * served, whichever of their two forms they have.
 */
export function serviceInterceptor(
  services: (name: string) => ServiceCaller,
  names: ServiceNames,
): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) => {
    const name = names.of(options.origin);
    return name === undefined ? dispatch(options, handler) : dispatchTo(services, name, options, handler);
  };
}
