import { untilAborted } from "../runtime/deadline.js";
import type { Discovery } from "./registry.js";

/**
 * The same source, asked for so many lists at a time; who comes later waits for its turn, and whoever gives up meanwhile
 * is never asked for. Thousands of names asked for at once then cost neither the registry nor this process its memory.
 */
export function inTurns(source: Discovery, most: number): Discovery {
  const waiting = new Set<() => void>();
  let busy = 0;

  const turn = (signal: AbortSignal): Promise<void> | undefined => {
    if (busy < most) return void busy++;
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = (): void => {
        waiting.delete(begin);
        reject(signal.reason);
      };
      if (signal.aborted) return reject(signal.reason);
      signal.addEventListener("abort", leave, { once: true });
      waiting.add(begin);
    });
  };

  const pass = (): void => {
    const [next] = waiting;
    if (!next) busy--;
    else if (waiting.delete(next)) next();
  };

  return {
    name: source.name,
    host: source.host,
    get capabilities() {
      return source.capabilities;
    },
    get fallback() {
      return source.fallback;
    },
    async list(service, options) {
      const wait = turn(options.signal);
      if (wait) await wait;
      try {
        return await untilAborted(source.list(service, options), options.signal); // a list deaf to its signal keeps no turn
      } finally {
        pass();
      }
    },
    ...(source.watch ? { watch: (service, options) => watchOf(source, service, options) } : {}),
    ...(source.services ? { services: (options) => servicesOf(source, options) } : {}),
    close: () => source.close(),
  };
}

type Watch = NonNullable<Discovery["watch"]>;

function watchOf(source: Discovery, ...of: Parameters<Watch>): ReturnType<Watch> {
  return (source as Required<Discovery>).watch(...of);
}

function servicesOf(source: Discovery, ...of: Parameters<NonNullable<Discovery["services"]>>) {
  return (source as Required<Discovery>).services(...of);
}
