import type { IncomingMessage, ServerResponse } from "node:http";
import type { Server } from "node:net";
import { numberIn } from "../model/fields.js";
import { Busyness } from "../runtime/busyness.js";
import { systemClock } from "../runtime/clock.js";
import { LOAD_HEADER, loadText } from "../runtime/load-header.js";
import { knownKeys } from "../runtime/options.js";

/** What a server's load is measured by. */
export interface LoadReportOptions {
  /**
   * Requests in flight that are as many as it can take, from 1 to 1,000,000. The load is then the larger of the event
   * loop's and theirs: say it where requests wait for something else than this process, such as a database.
   *
   * @default the event loop alone
   */
  readonly capacity?: number | undefined;
}

/**
 * Has a server say with every answer how much of its capacity is taken, in the header `endpoint-load-metrics` (ORCA's
 * text form). `adaptive({ reportedLoad: true })` goes by it, and so can Envoy and gRPC.
 *
 * @param server of `node:http`, `node:https` or `node:http2`
 * @returns ends it
 * @throws {DiscoveryError} `INVALID_OPTION`, naming the option
 */
export function reportLoad(server: Server, options: LoadReportOptions = {}): () => void {
  knownKeys("reportLoad", options, ["capacity"]);
  const { capacity } = options;
  if (capacity !== undefined) numberIn("reportLoad.capacity", capacity, 1, 1_000_000);
  const busyness = new Busyness(systemClock);
  let inFlight = 0;
  const report = (_request: IncomingMessage, response: ServerResponse): void => {
    inFlight++;
    response.once("close", () => inFlight--);
    if (!response.headersSent)
      response.setHeader(LOAD_HEADER, loadText(Math.max(busyness.share, capacity ? inFlight / capacity : 0)));
  };
  server.prependListener("request", report);
  return () => void server.off("request", report);
}
