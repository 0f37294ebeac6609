import { DiscoveryError } from "../model/errors.js";

/** Who we are to etcd. */
export interface EtcdCredentials {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** A token that never changes, such as a JWT. */
  readonly token?: string | undefined;
}

/** Sends a request without a token; answers with its fields, or with the error that a refusal is. */
type Send = (path: string, body: unknown) => Promise<Readonly<Record<string, unknown>> | DiscoveryError>;

/** Keeps the token: fetched when it is first needed, and again when etcd no longer takes it. */
export class EtcdAuth {
  readonly #credentials: EtcdCredentials;
  #token: Promise<string | undefined> | undefined;
  #held: string | undefined;

  constructor(credentials: EtcdCredentials) {
    this.#credentials = credentials;
  }

  /** The token to send; undefined where there is none. However many ask, one is fetched, which alone takes time. */
  token(send: Send): string | undefined | Promise<string | undefined> {
    const { username, token } = this.#credentials;
    if (username === undefined) return token;
    if (this.#token) return this.#token;
    const fetched = this.#fetch(send);
    this.#token = fetched;
    fetched.then(
      (held) => {
        this.#held = held;
      },
      () => {
        if (this.#token === fetched) this.#token = undefined;
      },
    );
    return fetched;
  }

  /** Forgets a token, unless that was done already; false if no other could be fetched. */
  expire(token: string | undefined): boolean {
    if (token === this.#held) this.#token = undefined;
    return this.#credentials.username !== undefined;
  }

  async #fetch(send: Send): Promise<string | undefined> {
    const { username: name, password = "" } = this.#credentials;
    const answer = await send("/v3/auth/authenticate", { name, password });
    if (!(answer instanceof DiscoveryError)) return String(answer["token"]);
    if (/not enabled/.test(answer.message)) return undefined; // whoever may do everything needs no token
    throw answer;
  }
}
