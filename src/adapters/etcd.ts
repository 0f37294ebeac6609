import { invalid } from "../model/fields.js";
import type { SharedRegistry } from "../registry/registry.js";
import { type Clock, systemClock } from "../runtime/clock.js";
import { knownKeys } from "../runtime/options.js";
import { secretOption } from "../runtime/request-headers.js";
import { EtcdBeats } from "./etcd-beats.js";
import { EtcdClient } from "./etcd-client.js";
import { EtcdKeys } from "./etcd-keys.js";
import { EtcdLeases } from "./etcd-leases.js";
import { EtcdReads } from "./etcd-reads.js";
import { EtcdRegistrations } from "./etcd-registrations.js";
import { EtcdWatch } from "./etcd-watch.js";

/** Where a local etcd listens unless told otherwise. */
const LOCAL = "http://127.0.0.1:2379";
const PREFIX = "/mcp-discovery/";
/** etcd reports progress on a silent watch every ten minutes, unless it is told otherwise; in milliseconds, and a bit. */
const QUIET_MS = 11 * 60_000;

/** Where etcd is, and what of it is ours. */
export interface EtcdOptions {
  /** `http://host:port` of one or several members, without path. @default "http://127.0.0.1:2379" */
  readonly endpoints?: string | readonly string[];
  /** What all our keys begin with; it ends in `/`. @default "/mcp-discovery/" */
  readonly prefix?: string;
  /** A user of etcd. The token it gets in return is renewed by itself. @default none */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** A token instead, such as a JWT that somebody else has made. @default none */
  readonly token?: string | undefined;
  /** For tests. @default the real clock */
  readonly clock?: Clock;
}

/**
 * etcd as a registry, 3.4 or newer, through its HTTP gateway. A change arrives by a watch, one stream per service,
 * however many read it. All registrations of one value that ask for the same ttl hang on one lease of etcd.
 *
 * @throws {DiscoveryError} `INVALID_OPTION`
 */
export function etcd(options: EtcdOptions = {}): SharedRegistry {
  knownKeys("etcd", options, ["endpoints", "prefix", "username", "password", "token", "clock"]);
  const { username, password, clock = systemClock } = options;
  const token = secretOption("etcd.token", options.token);
  if (username !== undefined && token !== undefined)
    throw invalid("etcd.token", "a token", "left out beside a username");
  const keys = new EtcdKeys(options.prefix ?? PREFIX);
  const client = new EtcdClient(originsIn(options.endpoints), { username, password, token }, clock);
  const reads = new EtcdReads(client, keys);
  const watch = new EtcdWatch(client, keys, reads, clock);
  const leases = new EtcdLeases(client, clock);
  const registrations = new EtcdRegistrations(client, keys, leases, reads, clock);
  const beats = new EtcdBeats(client, keys, leases, reads, registrations);

  return {
    name: client.name,
    capabilities: { watch: "stream", lease: "heartbeat", reasons: true, epoch: true, absence: true, quietMs: QUIET_MS },

    async list(service, { since, signal }) {
      const answer = await reads.read(service, signal);
      watch.compare(service, answer);
      const { update, position, epoch } = answer;
      return update.type === "reset" && position === since ? { type: "current", position, epoch } : update;
    },

    watch: (service, { since, signal }) => watch.of(service, since, signal),
    services: ({ signal }) => reads.names(signal),
    register: (instance, given) => registrations.register(instance, given),
    renew: (asked, { signal }) => beats.renew(asked, signal),
    update: (lease, instance, { signal }) => registrations.update(lease, instance, signal),

    async deregister(lease, { signal }) {
      await registrations.deregister(lease, signal);
      return {};
    },

    secret: ({ signal }) => reads.word(keys.secret, signal),
    held: (lease, { signal }) => beats.held(lease, signal),
    close: () => client.close(),
  };
}

function originsIn(endpoints: unknown = LOCAL): readonly string[] {
  const given = typeof endpoints === "string" ? endpoints.split(",") : endpoints;
  if (!Array.isArray(given) || given.length === 0) throw invalid("etcd.endpoints", endpoints, "one URL or several");
  return given.map((each: unknown) => {
    const url = URL.canParse(String(each)) ? new URL(String(each)) : undefined;
    if (url?.protocol !== "http:" && url?.protocol !== "https:") {
      throw invalid("etcd.endpoints", url ? url.protocol : each, "http:// or https:// URLs");
    }
    return url.origin;
  });
}
