import { createHash } from "node:crypto";
import { getServers } from "node:dns";
import { DiscoveryError } from "../model/errors.js";
import { hostName, invalid, numberIn, oneOf } from "../model/fields.js";
import { byId, defineInstance, hostPort, PROTOCOLS, type Protocol, type ServiceInstance } from "../model/instance.js";
import type { Position, RegistryUpdate } from "../model/update.js";
import type { CallOptions, Discovery } from "../registry/registry.js";
import { type Clock, systemClock } from "../runtime/clock.js";
import { durationMs, knownKeys } from "../runtime/options.js";
import { type DnsAnswer, type DnsRecord, TYPES } from "./dns-message.js";
import { ask, type DnsServer } from "./dns-query.js";

const DNS_PORT = 53;
/** Records that may not be kept are asked for this often all the same, in milliseconds. */
const MIN_REFRESH_MS = 1_000;
/** The longest pause between two questions, in milliseconds: the pull of every other registry. */
const MAX_REFRESH_MS = 30_000;
/** Targets whose addresses are asked for at once. */
const AT_ONCE = 16;
/** The largest weight an instance may have; DNS goes to 65,535. */
const MAX_WEIGHT = 1_000;
/** RFC 2782 gives weight 0 "a very small chance" beside others; ours would mean none. */
const RARELY = 0.01;
const CODES: Readonly<Record<number, string>> = { 1: "FORMERR", 2: "SERVFAIL", 4: "NOTIMP", 5: "REFUSED" };

/** Where names are asked for, and how services become names. */
export interface DnsOptions {
  /** `host` or `host:port`. @default the first server of this machine's own configuration */
  readonly server?: string | undefined;
  /** Stands for `{domain}` in the name. */
  readonly domain?: string | undefined;
  /** What is asked for: SRV records, or addresses (A and AAAA) with one port for all. @default "srv" */
  readonly type?: "srv" | "a" | undefined;
  /** The name of a service. @default `_{service}._tcp.{domain}` for SRV, `{service}.{domain}` for addresses */
  readonly name?: string | undefined;
  /** The port of all instances, for addresses; SRV records say theirs. */
  readonly port?: number | undefined;
  /** How instances are spoken to. @default "http" */
  readonly protocol?: Protocol | undefined;
  /** Ask over TCP only: for Consul, which leaves records out of datagrams without saying so. @default false */
  readonly tcp?: boolean | undefined;
  /** The shortest pause between two questions, in milliseconds; records' own ttl holds above it. @default 1_000 */
  readonly minRefreshMs?: number | undefined;
  /** For tests. @default the real clock */
  readonly clock?: Clock | undefined;
}

interface Answered {
  readonly update: RegistryUpdate;
  readonly ttlMs: number;
}

/**
 * Names in DNS as a source of instances. It is asked anew when records' time is over: nobody pushes, registers, or tells
 * who is healthy.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function dns(options: DnsOptions): Discovery {
  knownKeys("dns", options, ["server", "domain", "type", "name", "port", "protocol", "tcp", "minRefreshMs", "clock"]);
  const { clock = systemClock, tcp = false } = options;
  const type = oneOf("dns.type", options.type ?? "srv", ["srv", "a"]);
  const port = type === "a" ? numberIn("dns.port", options.port, 1, 65_535, true) : 0;
  const protocol = oneOf("dns.protocol", options.protocol ?? "http", PROTOCOLS);
  const minMs = durationMs("dns.minRefreshMs", options.minRefreshMs, MIN_REFRESH_MS, 100, MAX_REFRESH_MS);
  const template = templateOf(options, type);
  const server = serverOf(options.server ?? getServers()[0] ?? "127.0.0.1", tcp);
  const name = `DNS ${hostPort(server.host, server.port)}`;

  /** Undefined where there is no such name. */
  async function records(asked: string, kind: number, signal: AbortSignal): Promise<DnsAnswer | undefined> {
    const answer = await ask(server, asked, kind, { clock, signal });
    if (answer.code === 0) return answer;
    if (answer.code === 3) return undefined;
    const text = `${name} answered the question for ${asked} with ${CODES[answer.code] ?? `code ${answer.code}`}`;
    throw new DiscoveryError(answer.code === 2 ? "UNAVAILABLE" : "REJECTED", text);
  }

  async function addressesOf(host: string, beside: readonly DnsRecord[], signal: AbortSignal): Promise<DnsRecord[]> {
    const known = beside.filter((record) => record.name === host && record.address !== undefined);
    if (known.length > 0) return known;
    const answers = await Promise.all([TYPES.A, TYPES.AAAA].map((kind) => records(host, kind, signal)));
    return answers.flatMap((answer) => answer?.answers ?? []).filter(({ address }) => address !== undefined);
  }

  async function addresses(service: string, signal: AbortSignal): Promise<Answered> {
    const asked = template(service);
    const answers = await Promise.all([TYPES.A, TYPES.AAAA].map((kind) => records(asked, kind, signal)));
    if (answers.every((answer) => answer === undefined)) return { update: { type: "absent" }, ttlMs: 0 };
    const found = answers.flatMap((answer) => answer?.answers ?? []).filter(({ address }) => address !== undefined);
    const instances = found.map(({ address = "" }) => defineInstance({ service, host: address, port, protocol }));
    return answered(instances, 0, found, answers);
  }

  async function srv(service: string, signal: AbortSignal): Promise<Answered> {
    const answer = await records(template(service), TYPES.SRV, signal);
    if (!answer) return { update: { type: "absent" }, ttlMs: 0 };
    const found = answer.answers.filter((record) => record.srv !== undefined && record.srv.target !== ""); // "." is nobody
    const best = Math.min(...found.map((record) => record.srv?.priority ?? 0));
    const weights = found.map((record) => record.srv?.weight ?? 0);
    const heaviest = Math.max(...weights);
    const instances: ServiceInstance[] = [];
    const used: DnsRecord[] = [...found];
    let invalid = 0;
    const left = found.values();
    const work = async (): Promise<void> => {
      for (const { srv } of left) {
        if (!srv) continue;
        const hosts = await addressesOf(srv.target, answer.additionals, signal);
        used.push(...hosts);
        if (hosts.length === 0) invalid++;
        const weight = heaviest === 0 ? 1 : Math.max(RARELY, srv.weight * Math.min(1, MAX_WEIGHT / heaviest));
        const status = srv.priority === best ? "healthy" : "unstable"; // picked only where nobody better may be alive
        const metadata = { priority: String(srv.priority), target: srv.target };
        for (const { address = "" } of hosts)
          instances.push(
            defineInstance({ service, host: address, port: srv.port, protocol, weight, status, metadata }),
          );
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return answered(instances, invalid, used, [answer]);
  }

  const read = type === "srv" ? srv : addresses;

  async function* watch(
    service: string,
    { since, signal }: CallOptions & { readonly since?: Position | undefined },
  ): AsyncGenerator<RegistryUpdate> {
    let position = since;
    while (true) {
      signal.throwIfAborted();
      const { update, ttlMs } = await read(service, signal);
      yield after(position, update);
      position = update.type === "reset" ? update.position : undefined;
      await clock.sleep(Math.min(MAX_REFRESH_MS, Math.max(minMs, ttlMs)), signal);
    }
  }

  return {
    name,
    capabilities: {
      watch: "poll",
      lease: "none",
      reasons: false,
      epoch: false,
      absence: false,
      quietMs: 3 * MAX_REFRESH_MS,
    },
    list: async (service, { since, signal }) => after(since, (await read(service, signal)).update),
    watch,
    close: async () => {},
  };
}

function answered(
  instances: readonly ServiceInstance[],
  invalid: number,
  records: readonly DnsRecord[],
  answers: readonly (DnsAnswer | undefined)[],
): Answered {
  const unique = [...new Map(instances.map((each) => [each.id, each])).values()].sort(byId);
  const seconds = records.map(({ ttl }) => ttl);
  const empty = answers.flatMap((answer) => answer?.authorities ?? []);
  if (records.length === 0) for (const { ttl, absentFor = 0 } of empty) seconds.push(Math.min(ttl, absentFor));
  const position = createHash("sha256").update(JSON.stringify(unique)).digest("base64url").slice(0, 16);
  const ttlMs = seconds.length > 0 ? Math.min(...seconds) * 1_000 : 0;
  return { update: { type: "reset", instances: unique, position, ...(invalid > 0 ? { invalid } : {}) }, ttlMs };
}

function after(since: Position | undefined, update: RegistryUpdate): RegistryUpdate {
  const isSame = update.type === "reset" && update.position === since && !update.invalid;
  return isSame ? { type: "current", position: since } : update;
}

function templateOf({ domain, name }: DnsOptions, type: "srv" | "a"): (service: string) => string {
  const template = name ?? (type === "srv" ? "_{service}._tcp.{domain}" : "{service}.{domain}");
  if (!template.includes("{service}")) throw invalid("dns.name", template, "a name with {service} in it");
  if (template.includes("{domain}") && domain === undefined) throw invalid("dns.domain", domain, "a domain");
  const full = template.replaceAll("{domain}", domain === undefined ? "" : hostName("dns.domain", domain));
  return (service) => full.replaceAll("{service}", service);
}

function serverOf(text: string, tcp: boolean): DnsServer {
  const [, bracketed, plain = text, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(text) ?? [];
  const host = hostName("dns.server", bracketed ?? plain);
  return { host, port: port ? numberIn("dns.server", Number(port), 1, 65_535, true) : DNS_PORT, tcp };
}
