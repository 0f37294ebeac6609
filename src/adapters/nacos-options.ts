import { invalid, label, numberIn } from "../model/fields.js";
import { type Clock, systemClock } from "../runtime/clock.js";
import { durationMs, functionOr, knownKeys } from "../runtime/options.js";
import { type GrpcAddress, isGrpcInstalled } from "./nacos-channel.js";
import type { NacosScope } from "./nacos-dialects.js";
import type { NacosAccount } from "./nacos-login.js";
import { DEFAULT_CLUSTER } from "./nacos-record.js";
import type { NacosAddress } from "./nacos-server.js";
import type { NacosKey } from "./nacos-signature.js";

/** Where a local server listens unless told otherwise. */
const LOCAL_SERVER = "http://127.0.0.1:8848";
/** Nacos' own names for what nobody named. */
const DEFAULTS = { namespace: "public", group: "DEFAULT_GROUP", contextPath: "/nacos" } as const;
/** Lists lag behind by half a second: below it a poll hears nothing sooner. Three seconds cost less than a beat does. */
const INTERVAL_MS = { fallback: 3_000, min: 100, max: 600_000 } as const;
/** Nacos pushes on the port so much above that of HTTP. */
const GRPC_PORT_OFFSET = 1_000;
const HTTP_PORTS: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };
const MAX_PORT = 65_535;
const CLUSTER = /^[0-9A-Za-z-]{1,64}$/;

/** Where Nacos is, and how it is asked. */
export interface NacosOptions {
  /**
   * `http://host:port` of a server, or of what stands before several, without path. Several are servers of one cluster:
   * whoever asks stays with one while it answers and goes to the next when it does not, with the leases it has.
   *
   * @default "http://127.0.0.1:8848"
   */
  readonly url?: string | readonly string[];
  /** Logs in with it; sent nowhere but there. @default none: nobody logs in */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /**
   * A key of Alibaba Cloud's (MSE), which signs each request instead of a log-in. A signature is good for some minutes, so
   * the clock must be right.
   *
   * @default none: nothing is signed
   * @throws {DiscoveryError} `INVALID_OPTION` without `secretKey`, and with `username`
   */
  readonly accessKey?: string | undefined;
  /** Never sent, and in no message. */
  readonly secretKey?: string | undefined;
  /** The namespace's id, not its name: Nacos takes any text for an id. @default "public" */
  readonly namespace?: string | undefined;
  /** @default "DEFAULT_GROUP" */
  readonly group?: string | undefined;
  /** The cluster instances are registered in: 0–9 A–Z a–z and -. Every cluster is listed. @default "DEFAULT" */
  readonly cluster?: string | undefined;
  /** What `server.servlet.contextPath` says, or a proxy. @default "/nacos" */
  readonly contextPath?: string;
  /** How a service is called in Nacos, whose names have a case and may hold more. @default its name here, in lower case */
  readonly serviceName?: (service: string) => string;
  /**
   * Whether changes are pushed, over Nacos' gRPC (2.x and 3.x). While that port cannot be reached services are polled.
   *
   * @default whether the package `@grpc/grpc-js` is installed
   * @throws {DiscoveryError} `INVALID_OPTION` if it is wanted and the package is not there
   */
  readonly push?: boolean | undefined;
  /** The port that pushes, at each server. @default that of its `url` and 1,000 */
  readonly grpcPort?: number | undefined;
  /** Whether that port speaks TLS. @default whether `url` does */
  readonly grpcTls?: boolean | undefined;
  /** Time between two lists of a watched service of which nothing is pushed, in milliseconds, 100 to 600,000. @default 3_000 */
  readonly intervalMs?: number;
  /** For tests. @default the real clock */
  readonly clock?: Clock;
}

const OPTIONS =
  "url username password accessKey secretKey namespace group cluster contextPath serviceName push grpcPort grpcTls intervalMs clock".split(
    " ",
  );

/** The options, read and complete. */
export interface NacosSettings {
  /** Names it in messages. */
  readonly name: string;
  readonly servers: readonly NacosAddress[];
  /** That of the first server. */
  readonly host: string | undefined;
  readonly contextPath: string;
  readonly account: NacosAccount | undefined;
  readonly key: NacosKey | undefined;
  readonly scope: NacosScope;
  readonly cluster: string;
  readonly nameOf: (service: string) => string;
  /** Where changes are pushed, at each server; nowhere if services are polled. */
  readonly grpc: readonly GrpcAddress[];
  readonly intervalMs: number;
  readonly clock: Clock;
}

/** @throws {DiscoveryError} `INVALID_OPTION` */
export function settingsOf(options: NacosOptions): NacosSettings {
  knownKeys("nacos", options, OPTIONS);
  const { url = LOCAL_SERVER, contextPath = DEFAULTS.contextPath, clock = systemClock } = options;
  const namespaceId = label("nacos.namespace", options.namespace) ?? DEFAULTS.namespace;
  const groupName = label("nacos.group", options.group) ?? DEFAULTS.group;
  const { cluster = DEFAULT_CLUSTER } = options;
  if (!CLUSTER.test(cluster)) throw invalid("nacos.cluster", cluster, "1–64 of 0–9 A–Z a–z -");
  if (!/^(\/[^/?#\s]+)*$/.test(contextPath)) throw invalid("nacos.contextPath", contextPath, 'a path such as "/nacos"');
  const intervalMs = durationMs(
    "nacos.intervalMs",
    options.intervalMs,
    INTERVAL_MS.fallback,
    INTERVAL_MS.min,
    INTERVAL_MS.max,
  );
  const nameOf = functionOr("nacos.serviceName", options.serviceName, (service: string) => service);
  const urls = urlsIn(url);
  const name = (at: string): string =>
    `Nacos ${at}${namespaceId === DEFAULTS.namespace ? "" : `, namespace ${namespaceId}`}`;
  return {
    name: name(urls.map(({ origin }) => origin).join(",")),
    servers: urls.map(({ origin }) => ({ name: name(origin), origin })),
    host: urls[0]?.hostname,
    contextPath,
    account: accountIn(options),
    key: keyIn(options),
    scope: { namespaceId, groupName },
    cluster,
    nameOf,
    grpc: isPushWanted(options) ? urls.map((each) => grpcAt(each, options)) : [],
    intervalMs,
    clock,
  };
}

function urlsIn(given: unknown): readonly URL[] {
  const several: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (several.length === 0) throw invalid("nacos.url", given, "one URL or several");
  return several.map((each) => {
    const url = typeof each === "string" && URL.canParse(each) ? new URL(each) : undefined;
    if (url && HTTP_PORTS[url.protocol]) return url;
    const shown = typeof each === "string" ? each.replace(/\/\/.*@/s, "//…@").replace(/\?.*$/s, "?…") : each;
    throw invalid("nacos.url", shown, "an http:// or https:// URL, or several of them");
  });
}

function grpcAt({ protocol, hostname, port }: URL, { grpcPort, grpcTls }: NacosOptions): GrpcAddress {
  const nextTo = Number(port || HTTP_PORTS[protocol]) + GRPC_PORT_OFFSET;
  return { host: hostname, port: grpcPort ?? Math.min(nextTo, MAX_PORT), tls: grpcTls ?? protocol === "https:" };
}

function isPushWanted({ push, grpcPort, grpcTls }: NacosOptions): boolean {
  if (grpcPort !== undefined) numberIn("nacos.grpcPort", grpcPort, 1, MAX_PORT, true);
  flag("nacos.grpcTls", grpcTls);
  const isWanted = flag("nacos.push", push);
  const isPossible = isWanted !== false && isGrpcInstalled();
  if (isWanted && !isPossible) throw invalid("nacos.push", true, "true only where @grpc/grpc-js is installed");
  return isPossible;
}

function flag(field: string, value: unknown): boolean | undefined {
  if (value !== undefined && typeof value !== "boolean") throw invalid(field, value, "true or false");
  return value;
}

function accountIn({ username, password = "" }: NacosOptions): NacosAccount | undefined {
  if (username === undefined && password === "") return undefined;
  if (typeof username !== "string" || username === "")
    throw invalid("nacos.username", username, "a name to log in with");
  if (typeof password !== "string") throw invalid("nacos.password", typeof password, "a string");
  return { username, password };
}

function keyIn({ accessKey, secretKey, username, password }: NacosOptions): NacosKey | undefined {
  if (accessKey === undefined && secretKey === undefined) return undefined;
  if (username !== undefined || password !== undefined) {
    throw invalid("nacos.accessKey", accessKey, "left out where username and password log in: one way or the other");
  }
  if (typeof accessKey !== "string" || accessKey === "") throw invalid("nacos.accessKey", accessKey, "the key's id");
  if (typeof secretKey === "string" && secretKey !== "") return { accessKey, secretKey };
  throw invalid("nacos.secretKey", typeof secretKey, "the secret that belongs to accessKey");
}
