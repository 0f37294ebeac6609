import type { Clock } from "../runtime/clock.js";
import type { HttpClient, HttpResponse } from "../runtime/http.js";
import { HttpNodes } from "./http-nodes.js";
import { type NacosAccount, NacosLogin } from "./nacos-login.js";
import { refusal } from "./nacos-refusal.js";
import { isForbidden, type NacosAddress, nacosServer } from "./nacos-server.js";
import { type NacosKey, type NacosSignature, type NacosUser, signatureOf } from "./nacos-signature.js";

/** Names and values of a query or a form; what is undefined is left out. */
export type Params = Readonly<Record<string, string | undefined>>;

/** One question to Nacos, its path below the context path. */
export interface NacosRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly query?: Params;
  readonly form?: Params;
  /** Whether the answer may be plain text. @default false */
  readonly text?: boolean;
}

/** Where Nacos is, and who asks. */
export interface NacosClientOptions {
  /** Names the whole cluster. */
  readonly name: string;
  readonly servers: readonly NacosAddress[];
  readonly contextPath: string;
  readonly account: NacosAccount | undefined;
  readonly key: NacosKey | undefined;
  readonly clock: Clock;
}

/**
 * Nacos over HTTP, at whichever server of the cluster answers, logged in if it has an account: a token is good at all of
 * them. It travels in a header, so that no URL ever holds it. With a key every request is signed instead.
 */
export class NacosClient {
  readonly name: string;
  /** Who asks, if that is said. */
  readonly user: NacosUser | undefined;
  readonly #contextPath: string;
  readonly #nodes: HttpNodes;
  readonly #http: HttpClient;
  readonly #login: NacosLogin | undefined;
  readonly #key: NacosKey | undefined;
  readonly #clock: Clock;

  constructor({ name, servers, contextPath, account, key, clock }: NacosClientOptions) {
    this.name = name;
    this.#key = key;
    this.#clock = clock;
    this.#contextPath = contextPath;
    this.#nodes = new HttpNodes(servers.length, clock);
    const user = userOf(account, key);
    this.user = user;
    this.#http = this.#nodes.client(servers.map((each) => nacosServer(each, user)));
    this.#login = account && new NacosLogin(name, account, contextPath, this.#http, clock);
  }

  /** How often a server was left for the next one. */
  get moves(): number {
    return this.#nodes.moves;
  }

  /** The request as messages tell it. */
  told({ method, path }: NacosRequest): { readonly method: string; readonly path: string } {
    return { method, path: this.#contextPath + path };
  }

  /**
   * The answer, or that there is nothing at that path. One refusal for want of rights may mean that the token has ended:
   * log in anew.
   *
   * @throws {DiscoveryError} if it is refused, with what can be done about it
   */
  async ask(request: NacosRequest, signal: AbortSignal): Promise<HttpResponse> {
    const answer = await this.loggedIn((token) => this.#send(request, token, signal), isForbidden, signal);
    if (isForbidden(answer)) throw refusal(this.name, this.told(request), answer, this.user);
    return answer;
  }

  /** Sends anything with the token of who is logged in, and once more with a new one if that is refused. */
  async loggedIn<T>(
    send: (token: string | undefined) => Promise<T>,
    isRefused: (answer: T) => boolean,
    signal: AbortSignal,
  ): Promise<T> {
    const token = await this.#login?.token(signal);
    const answer = await send(token);
    if (!this.#login || !isRefused(answer)) return answer;
    await this.#login.forget(token);
    return send(await this.#login.token(signal));
  }

  /** What goes with a request where a key signs it. */
  signature({ serviceName, groupName }: Params): NacosSignature | undefined {
    if (!this.#key) return undefined;
    const grouped = serviceName === undefined ? undefined : `${groupName}@@${serviceName}`;
    return signatureOf(this.#key, grouped, this.#clock.wall());
  }

  async close(): Promise<void> {
    this.#login?.close();
    await this.#http.close();
  }

  #send(request: NacosRequest, token: string | undefined, signal: AbortSignal): Promise<HttpResponse> {
    const { method, path, query, form, text = false } = request;
    const signature = this.signature(query ?? form ?? {});
    const search = query ? `?${new URLSearchParams(present(query))}` : "";
    return this.#http.request({
      method,
      path: this.#contextPath + path + search,
      untold: signature && `${query ? "&" : "?"}${new URLSearchParams(signature)}`,
      ...(form ? { form: present(form) } : {}),
      headers: token === undefined ? {} : { accesstoken: token },
      signal,
      text,
    });
  }
}

function userOf(account: NacosAccount | undefined, key: NacosKey | undefined): NacosUser | undefined {
  if (key) return { name: `access key ${key.accessKey}`, secret: "secret key" };
  return account && { name: account.username, secret: "password" };
}

function present(params: Params): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(params).filter((each): each is [string, string] => each[1] !== undefined));
}
