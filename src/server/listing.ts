import type { IncomingMessage, ServerResponse } from "node:http";
import { promisify } from "node:util";
import { brotliCompress, gzip } from "node:zlib";
import { inStatus, type ServiceInstance } from "../model/instance.js";
import type { RegistryUpdate } from "../model/update.js";
import type { MemoryRegistry } from "../registry/memory-options.js";
import type { Registry } from "../registry/registry.js";
import type { Clock } from "../runtime/clock.js";
import { epochOf, revisionOf, toWire } from "../wire/json.js";
import { Problem } from "./problem.js";

/** Below this, in bytes, compressing costs more than it saves. */
const MIN_COMPRESSED = 1_024;
const FILTERS = new Set(["status", "tag", "zone", "version"]);
const compressors = {
  br: promisify(brotliCompress),
  gzip: promisify(gzip),
} as const;
type Encoding = keyof typeof compressors | "identity";

interface Prepared {
  readonly instances: readonly ServiceInstance[];
  readonly warming: boolean;
  readonly etag: string | undefined;
  readonly bodies: Partial<Record<Encoding, Buffer>>;
}

/** Answers lists; an unfiltered one is serialised once per change of its service. */
export class Listing {
  readonly #registry: Registry & Partial<Pick<MemoryRegistry, "failed">>;
  readonly #clock: Clock;
  readonly #prepared = new Map<string, Prepared>();

  constructor(registry: Registry, clock: Clock) {
    this.#registry = registry;
    this.#clock = clock;
  }

  async answer(
    request: IncomingMessage,
    response: ServerResponse,
    service: string,
    query: URLSearchParams,
  ): Promise<void> {
    const filters = [...query].filter(([key]) => FILTERS.has(key) || key.startsWith("meta."));
    const since = query.get("since") ?? undefined;
    const update = await this.#update(service, since, query.get("wait"), response);
    if (update.type === "absent" && !update.warming && !filters.some(([, value]) => value === "failed")) {
      const detail = `No service "${service}" was ever registered here`;
      throw new Problem(404, "SERVICE_UNKNOWN", detail, {
        service_name: service,
        epoch: update.epoch,
        warming: false,
      });
    }
    if (filters.length > 0) return this.#filtered(response, service, update, filters);
    const prepared = this.#prepare(service, update);
    const given = request.headers["if-none-match"];
    if (prepared.etag !== undefined && given !== undefined && isNamed(prepared.etag, given)) {
      response.writeHead(304, { etag: `"${prepared.etag}"` });
      response.end();
      return;
    }
    const encoding = encodingFor(request.headers["accept-encoding"]);
    if (encoding === "identity" || (prepared.bodies.identity as Buffer).length < MIN_COMPRESSED) {
      return send(response, prepared, "identity", prepared.bodies.identity as Buffer);
    }
    const body = prepared.bodies[encoding] ?? (await compressors[encoding](prepared.bodies.identity as Buffer));
    prepared.bodies[encoding] = body;
    send(response, prepared, encoding, body);
  }

  /** The list now, or once it differs from `since`, if the caller is willing to wait. */
  async #update(
    service: string,
    since: string | undefined,
    wait: string | null,
    response: ServerResponse,
  ): Promise<RegistryUpdate> {
    const halt = new AbortController();
    const full = (): Promise<RegistryUpdate> => this.#registry.list(service, { signal: halt.signal });
    if (wait === null || since === undefined || !this.#registry.watch) return full();
    const seconds = Number(wait);
    if (!(seconds >= 0 && seconds <= 60))
      throw new Problem(422, "REJECTED", "wait must be 0 to 60 seconds", {
        field: "wait",
      });
    response.once("close", () => halt.abort());
    const cancel = this.#clock.schedule(seconds * 1_000, () => halt.abort());
    try {
      for await (const update of this.#registry.watch(service, {
        since,
        signal: halt.signal,
      })) {
        if (update.type !== "current") break;
      }
    } finally {
      cancel();
    }
    return this.#registry.list(service, {
      signal: new AbortController().signal,
    });
  }

  #prepare(service: string, update: RegistryUpdate): Prepared {
    const instances = update.type === "reset" ? update.instances : [];
    const warming = "warming" in update && update.warming === true;
    const known = this.#prepared.get(service);
    const position = update.type === "reset" ? update.position : undefined;
    const etag = warming ? undefined : position;
    if (known && known.instances === instances && known.warming === warming && known.etag === etag) return known;
    const identity = Buffer.from(serialised(service, update, instances));
    const prepared = { instances, warming, etag, bodies: { identity } };
    if (update.type !== "absent") this.#prepared.set(service, prepared); // invented names are not kept
    return prepared;
  }

  #filtered(response: ServerResponse, service: string, update: RegistryUpdate, filters: [string, string][]): void {
    const wantsFailed = filters.some(([key, value]) => key === "status" && value === "failed");
    const failed = wantsFailed ? (this.#registry.failed?.(service) ?? []) : [];
    const live = update.type === "reset" ? update.instances : [];
    const all = [...live, ...failed.map((instance) => inStatus(instance, "failed"))];
    const matching = all.filter((instance) => filters.every(([key, value]) => matches(instance, key, value)));
    response.writeHead(200, {
      "content-type": "application/json",
      "cache-control": "no-store",
    });
    response.end(serialised(service, update, matching));
  }
}

function serialised(service: string, update: RegistryUpdate, instances: readonly ServiceInstance[]): string {
  const position = update.type === "reset" ? update.position : undefined;
  return JSON.stringify({
    service_name: service,
    known: update.type !== "absent",
    epoch: update.epoch ?? epochOf(position),
    revision: revisionOf(position),
    warming: "warming" in update && update.warming === true,
    instances: instances.map(toWire),
  });
}

/** Whether `If-None-Match` names this list, in whatever encoding it was sent. */
function isNamed(etag: string, given: string): boolean {
  return given === "*" || given.includes(`"${etag}"`) || given.includes(`"${etag};`);
}

function matches(instance: ServiceInstance, key: string, value: string): boolean {
  if (key === "tag") return instance.tags.includes(value);
  if (key === "status" || key === "zone" || key === "version") return instance[key] === value;
  return instance.metadata[key.slice("meta.".length)] === value;
}

function encodingFor(accepted: string | string[] | undefined): Encoding {
  const text = String(accepted ?? "");
  if (/\bbr\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/.test(text)) return "br";
  return /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/.test(text) ? "gzip" : "identity";
}

function send(response: ServerResponse, { etag }: Prepared, encoding: Encoding, body: Buffer): void {
  const headers: Record<string, string | number> = {
    "content-type": "application/json",
    "content-length": body.length,
    "cache-control": "no-cache",
    vary: "accept-encoding",
  };
  if (etag !== undefined) headers["etag"] = encoding === "identity" ? `"${etag}"` : `"${etag};${encoding}"`;
  if (encoding !== "identity") headers["content-encoding"] = encoding;
  response.writeHead(200, headers);
  response.end(body);
}
