import { DiscoveryError } from "../model/errors.js";
import type { Clock } from "../runtime/clock.js";
import { type HttpClient, type HttpResponse, httpClient } from "../runtime/http.js";
import { type NacosAccount, NacosLogin } from "./nacos-login.js";
import { NO_NACOS } from "./nacos-refusal.js";

/** Every status is an answer: what a refusal means is for the API that was asked to say. */
const ANY = Array.from({ length: 300 }, (_, index) => 300 + index);

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
  readonly name: string;
  readonly origin: string;
  readonly contextPath: string;
  readonly account: NacosAccount | undefined;
  readonly clock: Clock;
}

/** Nacos over HTTP, logged in if it has an account. The token travels in a header, so that no URL ever holds it. */
export class NacosClient {
  readonly name: string;
  readonly #contextPath: string;
  readonly #http: HttpClient;
  readonly #login: NacosLogin | undefined;

  constructor({ name, origin, contextPath, account, clock }: NacosClientOptions) {
    this.name = name;
    this.#contextPath = contextPath;
    this.#http = httpClient({ name, origin });
    this.#login = account && new NacosLogin(name, account, contextPath, this.#http, clock);
  }

  /** Who is logged in. */
  get user(): string | undefined {
    return this.#login?.username;
  }

  /** The request as messages tell it. */
  told({ method, path }: NacosRequest): { readonly method: string; readonly path: string } {
    return { method, path: this.#contextPath + path };
  }

  /** The answer, whatever its status. One refusal for want of rights may mean that the token has ended: log in anew. */
  ask(request: NacosRequest, signal: AbortSignal): Promise<HttpResponse> {
    const isForbidden = ({ status }: HttpResponse): boolean => status === 401 || status === 403;
    return this.loggedIn((token) => this.#send(request, token, signal), isForbidden, signal);
  }

  /** Sends anything with the token of who is logged in, and once more with a new one if that is refused. */
  async loggedIn<T>(
    send: (token: string | undefined) => Promise<T>,
    isForbidden: (answer: T) => boolean,
    signal: AbortSignal,
  ): Promise<T> {
    const token = await this.#login?.token(signal);
    const answer = await send(token);
    if (!this.#login || !isForbidden(answer)) return answer;
    await this.#login.forget(token);
    return send(await this.#login.token(signal));
  }

  async close(): Promise<void> {
    this.#login?.close();
    await this.#http.close();
  }

  async #send(request: NacosRequest, token: string | undefined, signal: AbortSignal): Promise<HttpResponse> {
    const { method, path, query, form, text = false } = request;
    const search = query ? `?${new URLSearchParams(present(query))}` : "";
    try {
      return await this.#http.request({
        method,
        path: this.#contextPath + path + search,
        ...(form ? { form: present(form) } : {}),
        headers: token === undefined ? {} : { accesstoken: token },
        signal,
        text,
        accept: ANY,
      });
    } catch (error) {
      if (!DiscoveryError.is(error, "PROTOCOL") || !/no JSON/.test(error.message)) throw error;
      const { message, cause } = error;
      throw new DiscoveryError("PROTOCOL", `${message.replace(/ \(PROTOCOL\)$/, "")}; ${NO_NACOS}`, { cause });
    }
  }
}

function present(params: Params): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(params).filter((each): each is [string, string] => each[1] !== undefined));
}
