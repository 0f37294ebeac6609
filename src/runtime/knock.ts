import { connect } from "node:net";
import type { ServiceInstance } from "../model/instance.js";

/** Errors that say: the machine is there, and nobody listens on that port. */
const REFUSED: ReadonlySet<string | undefined> = new Set(["ECONNREFUSED", "ECONNRESET"]);

/**
 * Opens a connection to an instance and closes it again. `alive`: somebody accepted. `refused`: nobody listens there.
 * Anything else says more about the way than about the instance, and is `unknown`.
 */
export function knock(
  { host, port }: Pick<ServiceInstance, "host" | "port">,
  signal: AbortSignal,
): Promise<"alive" | "refused" | "unknown"> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve("unknown");
    const socket = connect({ host, port });
    socket.unref();
    const done = (found: "alive" | "refused" | "unknown"): void => {
      signal.removeEventListener("abort", abort);
      socket.destroy();
      resolve(found);
    };
    const abort = (): void => done("unknown");
    signal.addEventListener("abort", abort, { once: true });
    socket.once("connect", () => done("alive"));
    socket.once("error", ({ code }: NodeJS.ErrnoException) => done(REFUSED.has(code) ? "refused" : "unknown"));
  });
}
