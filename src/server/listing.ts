import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServiceInstance } from "../model/instance.js";
import type { RegistryUpdate } from "../model/update.js";
import type { MemoryRegistry } from "../registry/memory-options.js";
import type { Registry } from "../registry/registry.js";
import type { Clock } from "../runtime/clock.js";
import { positionIn } from "../wire/json.js";
import { EncodedList, listJson } from "./list.js";
import { Problem } from "./problem.js";

/** Lists kept ready: as many as there may be services. */
const MAX_READY = 10_000;
/** The longest a list is held back, in seconds. */
const MAX_WAIT_S = 60;
const FILTERS: ReadonlySet<string> = new Set(["status", "tag", "zone", "version"]);

type Filter = readonly [key: string, value: string];

/** Answers lists: whole ones from bytes made once per change, filtered ones afresh, and both held back if asked. */
export class Listing {
  readonly #registry: Registry & Partial<Pick<MemoryRegistry, "failed">>;
  readonly #clock: Clock;
  readonly #ready = new Map<string, EncodedList>();
  readonly #call: { readonly signal: AbortSignal };

  constructor(registry: Registry, clock: Clock, signal: AbortSignal) {
    this.#registry = registry;
    this.#clock = clock;
    this.#call = { signal };
  }

  /** @throws {Problem} 404 `SERVICE_UNKNOWN`, 422 */
  async answer(
    request: IncomingMessage,
    response: ServerResponse,
    service: string,
    query: URLSearchParams | undefined,
  ): Promise<void> {
    if (query) await this.#untilItDiffers(response, service, query);
    const filters = query ? [...query].filter(([key]) => FILTERS.has(key) || key.startsWith("meta.")) : undefined;
    const update = await this.#registry.list(service, this.#call);
    if (filters && filters.length > 0) return this.#sendFiltered(response, service, update, filters);
    await this.#listOf(service, update).send(response, request.headers);
  }

  #listOf(service: string, update: RegistryUpdate): EncodedList {
    const ready = this.#ready.get(service);
    if (ready?.isOf(update)) return ready;
    if (update.type === "absent") {
      this.#ready.delete(service);
      return new EncodedList(service, believed(service, update)); // not kept: anybody can invent names
    }
    const list = new EncodedList(service, update);
    this.#ready.set(service, list);
    if (this.#ready.size > MAX_READY) this.#ready.delete(this.#ready.keys().next().value as string);
    return list;
  }

  #sendFiltered(response: ServerResponse, service: string, update: RegistryUpdate, filters: readonly Filter[]): void {
    const wantsFailed = filters.some(([key, value]) => key === "status" && value === "failed");
    const failed = wantsFailed ? (this.#registry.failed?.(service) ?? []) : [];
    const live = update.type === "reset" ? update.instances : [];
    if (update.type === "absent") believed(service, update);
    const matching = [...live, ...failed].filter((each) => filters.every((filter) => matches(each, filter)));
    response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
    response.end(listJson(service, update, matching));
  }

  /** A long poll: returns when the service differs from `since`, or the time is over, or the client has gone. */
  async #untilItDiffers(response: ServerResponse, service: string, query: URLSearchParams): Promise<void> {
    const [wait, since] = [query.get("wait"), query.get("since")];
    if (wait === null || since === null || !this.#registry.watch) return;
    const seconds = Number(wait);
    if (!(seconds >= 0 && seconds <= MAX_WAIT_S)) {
      throw new Problem(422, "REJECTED", `wait must be 0 to ${MAX_WAIT_S} seconds`, { field: "wait" });
    }
    const halt = new AbortController();
    const { signal } = halt;
    response.once("close", () => halt.abort());
    const cancel = this.#clock.schedule(seconds * 1_000, () => halt.abort());
    try {
      for await (const update of this.#registry.watch(service, { since: positionIn(since), signal })) {
        if (update.type !== "current") break;
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      cancel();
    }
  }
}

/** Passes on an absence that proves nothing yet. @throws {Problem} 404 for one that does */
function believed(service: string, update: RegistryUpdate & { type: "absent" }): RegistryUpdate {
  if (update.warming) return update;
  const detail = `No service "${service}" was ever registered here`;
  throw new Problem(404, "SERVICE_UNKNOWN", detail, { service_name: service, epoch: update.epoch, warming: false });
}

function matches(instance: ServiceInstance, [key, value]: Filter): boolean {
  if (key === "tag") return instance.tags.includes(value);
  if (key === "status" || key === "zone" || key === "version") return instance[key] === value;
  return instance.metadata[key.slice("meta.".length)] === value;
}
