import type { HashKey } from "../balancer/request-key.js";
import { invalid, numberIn } from "../model/fields.js";
import { durationMs } from "../runtime/options.js";

/** A call may take this long in all, in milliseconds, until its response headers: tries, pauses and waiting included. */
const TIMEOUT_MS = 30_000;
/** One try may take this long to response headers, in milliseconds. */
const TRY_TIMEOUT_MS = 5_000;
/** Beyond this, in milliseconds, undici itself takes a silent connection for dead. */
const MAX_TRY_MS = 300_000;
/** Tries of a call that may have been processed; unsent ones do not count. */
const TRIES = 3;
const DAY_MS = 86_400_000;

/** How calls to a service are made; each can be set for all, for one service, and for one call. */
export interface CallDefaults {
  /**
   * Time for the whole call until its response headers, in milliseconds. The body is the caller's own: give `signal`.
   *
   * @default 30_000
   */
  readonly timeoutMs?: number;
  /**
   * Time for one try until its response headers, in milliseconds, 300,000 at most. It begins when the try has one of the
   * instance's `connections`: for as long again it may wait for one, and then goes elsewhere.
   *
   * @default 5_000
   */
  readonly tryTimeoutMs?: number;
  /** How often a call may be sent in all, each time to another instance. 1 turns retries off. @default 3 */
  readonly tries?: number;
}

/** What one call may say of itself. */
export interface CallOptions extends CallDefaults {
  /** Calls with the same key belong together: only balancers that hash look at it. */
  readonly key?: HashKey;
  /** Whether the call may be sent twice. @default true for GET, HEAD, OPTIONS, TRACE, PUT and DELETE */
  readonly idempotent?: boolean;
}

/** Which host names are services. */
export type HostRule = RegExp | ((host: string) => boolean);

/** How a resolver's calls reach their instances. */
export interface ClientOptions extends CallDefaults {
  /**
   * Which hosts are services; a match never falls through to DNS, anything else is passed on untouched.
   *
   * @default a single label without port that is not `localhost`: `http://orders/`
   */
  readonly hosts?: HostRule;
  /** Sockets per instance at most; a call that would have to wait for one goes where one is to spare. @default 128 */
  readonly connections?: number;
  /** The `Host` header instances see: their own address, or the service's name. @default "instance" */
  readonly authority?: "instance" | "service";
  /**
   * The header that marks a call which is sent again, with the number of the attempt; a call that carries it, passed on
   * with `resolver.retryHeaders()`, is not sent again itself. `false` neither sends nor heeds it.
   *
   * @default "x-envoy-attempt-count", Envoy's
   */
  readonly retryHeader?: string | false;
}

/** The calls of a service, with all defaults filled in. */
export type CallSettings = Required<CallDefaults>;

/** Fills in what is not given. @throws {DiscoveryError} `INVALID_OPTION`, naming the option */
export function callSettings(path: string, given: CallDefaults, base?: CallSettings): CallSettings {
  return {
    timeoutMs: durationMs(`${path}.timeoutMs`, given.timeoutMs, base?.timeoutMs ?? TIMEOUT_MS, 1, DAY_MS),
    tryTimeoutMs: durationMs(
      `${path}.tryTimeoutMs`,
      given.tryTimeoutMs,
      base?.tryTimeoutMs ?? TRY_TIMEOUT_MS,
      1,
      MAX_TRY_MS,
    ),
    tries: given.tries === undefined ? (base?.tries ?? TRIES) : numberIn(`${path}.tries`, given.tries, 1, 100, true),
  };
}

/** Turns a rule into a function. @throws {DiscoveryError} `INVALID_OPTION` */
export function hostRule(path: string, rule: HostRule | undefined): (host: string) => boolean {
  if (rule === undefined) return isSingleLabel;
  if (typeof rule === "function") return rule;
  if (rule instanceof RegExp && !rule.global && !rule.sticky) return (host) => rule.test(host);
  throw invalid(path, rule, "a function or a regular expression without the flags g and y");
}

/** `orders`, but neither `localhost` nor `orders.example` nor `orders:3000` nor `[::1]`. */
function isSingleLabel(host: string): boolean {
  return host !== "localhost" && !/[.:[\]]/.test(host) && host !== "";
}
