import { DiscoveryError } from "../model/errors.js";
import type { Clock } from "../runtime/clock.js";
import { haltSignal, untilAborted, within } from "../runtime/deadline.js";
import type { HttpClient, HttpResponse } from "../runtime/http.js";
import { refusal } from "./nacos-refusal.js";
import { isForbidden, isGone } from "./nacos-server.js";
import type { NacosUser } from "./nacos-signature.js";

/** Where the versions take a name and a password: 3.x, then 1.x and 2.x. */
const PATHS = ["/v3/auth/user/login", "/v1/auth/login"] as const;
/** A log-in takes no longer than this, in milliseconds, whoever waits for it. */
const LIMIT_MS = 3_000;
/** The share of its life after which a token is renewed: one that ends on its way is a refusal. */
const RENEW_AT = 0.8;
/** How long a token lives unless Nacos says so, in seconds: five hours, its own default. */
const TOKEN_TTL_S = 18_000;

/** What logging in takes. */
export interface NacosAccount {
  readonly username: string;
  readonly password: string;
}

/** A token, one log-in for however many ask at once, renewed before it ends. Nothing of it is ever in a message. */
export class NacosLogin {
  readonly #name: string;
  readonly #account: NacosAccount;
  readonly #contextPath: string;
  readonly #http: HttpClient;
  readonly #clock: Clock;
  readonly #halt = haltSignal();
  #granted: Promise<Granted> | undefined;

  constructor(name: string, account: NacosAccount, contextPath: string, http: HttpClient, clock: Clock) {
    this.#name = name;
    this.#account = account;
    this.#contextPath = contextPath;
    this.#http = http;
    this.#clock = clock;
  }

  get user(): NacosUser {
    return { name: this.#account.username, secret: "password" };
  }

  /** The token; undefined if this Nacos knows no log-in. @throws {DiscoveryError} `UNAUTHORIZED`, and if it is away */
  async token(signal: AbortSignal): Promise<string | undefined> {
    const known = this.#granted;
    if (known && (await untilAborted(known, signal)).renewAt > this.#clock.now()) return (await known).token;
    if (this.#granted === known) this.#begin();
    return (await untilAborted(this.#granted as Promise<Granted>, signal)).token;
  }

  /** A token was refused: the next one is another. */
  async forget(refused: string | undefined): Promise<void> {
    const known = this.#granted;
    const held = await known?.catch(() => undefined);
    if (held?.token === refused && this.#granted === known) this.#granted = undefined;
  }

  close(): void {
    this.#halt.abort(new DiscoveryError("CLOSED", `${this.#name} is closed`));
  }

  #begin(): void {
    const scope = { clock: this.#clock, signal: this.#halt.signal };
    const granted = within(`log-in at ${this.#name}`, LIMIT_MS, scope, (signal) => this.#logIn(signal));
    this.#granted = granted;
    granted.catch(() => {
      if (this.#granted === granted) this.#granted = undefined;
    });
  }

  async #logIn(signal: AbortSignal): Promise<Granted> {
    const { username, password } = this.#account;
    const sentAt = this.#clock.now();
    for (const each of PATHS) {
      const request = { method: "POST", path: this.#contextPath + each } as const;
      const form = { username, password };
      const answer = await this.#http.request({ ...request, form, signal, text: true });
      if (isGone(answer)) continue;
      if (isForbidden(answer)) throw refusal(this.#name, request, answer, this.user);
      const { token, ttlMs } = grantIn(answer);
      if (token === undefined) {
        // what it says instead may hold anything: nothing of it is quoted
        throw new DiscoveryError(
          "PROTOCOL",
          `${this.#name} answered ${request.method} ${request.path} without a token`,
        );
      }
      return { token, renewAt: sentAt + ttlMs * RENEW_AT };
    }
    return { token: undefined, renewAt: Number.POSITIVE_INFINITY };
  }
}

interface Granted {
  readonly token: string | undefined;
  /** In the clock's milliseconds. */
  readonly renewAt: number;
}

function grantIn({ body }: HttpResponse): { readonly token: string | undefined; readonly ttlMs: number } {
  const outer = fieldsOf(body);
  const { accessToken, tokenTtl } = outer["accessToken"] === undefined ? fieldsOf(outer["data"]) : outer;
  const ttlS = typeof tokenTtl === "number" && tokenTtl > 0 ? tokenTtl : TOKEN_TTL_S;
  return { token: typeof accessToken === "string" ? accessToken : undefined, ttlMs: ttlS * 1_000 };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
