import { createHash } from "node:crypto";
import { DiscoveryError } from "../model/errors.js";
import { invalid, oneOf } from "../model/fields.js";
import { defineInstance, type ServiceInstance } from "../model/instance.js";
import { polling } from "../registry/polling.js";
import type { Discovery } from "../registry/registry.js";
import { type Clock, systemClock } from "../runtime/clock.js";
import { httpClient } from "../runtime/http.js";
import { durationMs, knownKeys } from "../runtime/options.js";

/** A catalogue changes rarely, and its hosts ask to be asked rarely: five minutes, in milliseconds. */
const INTERVAL_MS = { fallback: 300_000, min: 60_000, max: 86_400_000 } as const;
const NAME = /^[a-zA-Z0-9.-]+\/[a-zA-Z0-9._-]+$/;
const OFFICIAL = "io.modelcontextprotocol.registry/official";

/** Where a catalogue of Model Context Protocol servers is. */
export interface ModelContextOptions {
  /** The catalogue's origin, without path. */
  readonly url: string;
  /** Which version of its API. @default "v0.1", the stable one */
  readonly api?: "v0.1" | "v0" | undefined;
  /** Service names, and the server each stands for: `{ weather: "io.github.user/weather" }`. */
  readonly servers: Readonly<Record<string, string>>;
  /** Values for the variables in remote URLs. Secrets do not belong here: instances are shown to everybody. */
  readonly variables?: Readonly<Record<string, string>> | undefined;
  /** Time between two questions, in milliseconds, at least a minute. @default 300_000 */
  readonly intervalMs?: number | undefined;
  /** For tests. @default the real clock */
  readonly clock?: Clock | undefined;
}

/** What a catalogue says of a server. Nothing of it is believed yet. */
interface Entry {
  readonly server?: {
    readonly name?: unknown;
    readonly version?: unknown;
    readonly title?: unknown;
    readonly remotes?: unknown;
  };
  readonly _meta?: Readonly<Record<string, { readonly status?: unknown } | undefined>>;
}

interface Remote {
  readonly type?: unknown;
  readonly url?: unknown;
  readonly headers?: readonly { readonly name?: unknown; readonly isRequired?: unknown }[];
  readonly variables?: Readonly<Record<string, { readonly default?: unknown } | undefined>>;
}

/**
 * A registry of the *Model Context Protocol*, which shares no more than three letters with this package's own: a
 * catalogue of servers for language models. It says where the newest version of a server is said to be; nobody beats,
 * nobody registers here, and being listed does not mean to be alive.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function modelContext(options: ModelContextOptions): Discovery {
  knownKeys("modelContext", options, ["url", "api", "servers", "variables", "intervalMs", "clock"]);
  const { url, servers, variables = {}, clock = systemClock } = options;
  const api = oneOf("modelContext.api", options.api ?? "v0.1", ["v0.1", "v0"]);
  const { fallback, min, max } = INTERVAL_MS;
  const intervalMs = durationMs("modelContext.intervalMs", options.intervalMs, fallback, min, max);
  const names = new Map(Object.entries(servers ?? {}).map(([service, name]) => [service.toLowerCase(), name]));
  for (const [service, name] of names) {
    const isName = typeof name === "string" && NAME.test(name);
    if (!isName)
      throw invalid(`modelContext.servers.${service}`, name, "a server's name, as in io.github.user/weather");
  }
  const name = `Model Context catalogue ${URL.canParse(url) ? new URL(url).origin : url}`;
  const client = httpClient({ name, origin: url });

  const catalogue: Discovery = {
    name,
    capabilities: {
      watch: "none",
      lease: "none",
      reasons: false,
      epoch: false,
      absence: true,
      quietMs: Number.POSITIVE_INFINITY,
    },
    async list(service, { since, signal }) {
      const wanted = names.get(service.toLowerCase());
      if (wanted === undefined) return { type: "absent" };
      const path = `/${api}/servers/${encodeURIComponent(wanted)}/versions/latest`;
      const { status, body } = await client.request({ method: "GET", path, signal, accept: [404] });
      if (status === 404) return { type: "absent" };
      const { instances, invalid } = instancesIn(service, wanted, body as Entry, variables);
      const position = createHash("sha256").update(JSON.stringify(instances)).digest("base64url").slice(0, 16);
      return since === position ? { type: "current", position } : { type: "reset", instances, position, invalid };
    },
    services: async () => [...names.keys()].sort(),
    close: () => client.close(),
  };
  return polling(catalogue, { intervalMs, clock });
}

function instancesIn(
  service: string,
  wanted: string,
  entry: Entry | undefined,
  variables: Readonly<Record<string, string>>,
): { readonly instances: readonly ServiceInstance[]; readonly invalid: number } {
  const { server } = entry ?? {};
  if (server?.name !== wanted) throw new DiscoveryError("PROTOCOL", `The answer is not about ${wanted}`, { service });
  const status = entry?._meta?.[OFFICIAL]?.status;
  if (status === "deleted") return { instances: [], invalid: 0 };
  const remotes = Array.isArray(server.remotes) ? (server.remotes as readonly Remote[]) : [];
  const instances: ServiceInstance[] = [];
  for (const [index, remote] of remotes.entries()) {
    try {
      const url = new URL(filledIn(remote, variables));
      const headers = (remote.headers ?? []).filter(({ isRequired }) => isRequired === true).map(({ name }) => name);
      const metadata: Record<string, string> = {
        path: `${url.pathname}${url.search}`,
        transport: String(remote.type),
        status: String(status ?? "active"),
        ...(typeof server.title === "string" ? { title: server.title } : {}),
        ...(headers.length > 0 ? { "required-headers": headers.join(", ") } : {}), // names; never values
      };
      instances.push(
        defineInstance({
          id: `${wanted}@${server.version}#${index}`,
          service,
          host: url.hostname.replace(/^\[|\]$/g, ""),
          port: Number(url.port) || (url.protocol === "https:" ? 443 : 80),
          protocol: oneOf("url", url.protocol.slice(0, -1), ["http", "https"] as const),
          version: String(server.version),
          metadata,
        }),
      );
    } catch {} // counted below
  }
  return { instances, invalid: remotes.length - instances.length };
}

/** A remote's URL with its variables; one that nobody gave a value to makes it unusable. */
function filledIn({ url, variables: known = {} }: Remote, given: Readonly<Record<string, string>>): string {
  return String(url).replace(/\{([^}]+)\}/g, (_, name: string) => {
    const value = given[name] ?? known[name]?.default;
    if (typeof value !== "string") throw invalid(`modelContext.variables.${name}`, value, "given");
    return encodeURIComponent(value);
  });
}
