import type { HashKey } from "../balancer/request-key.js";
import type { Endpoint } from "../endpoint/endpoint.js";
import { DiscoveryError } from "../model/errors.js";
import type { Caller } from "./caller.js";

/** How many are asked for who has a connection to spare, before a call waits for one of its first choice. */
const ASKED = 3;

/** Whom else a call may go to. Made when its first choice will not do: most calls never need one. */
export class Candidates {
  readonly #caller: Caller;
  readonly #key: HashKey | undefined;
  readonly #secure: boolean;
  readonly #tried: Endpoint[] = [];

  constructor(caller: Caller, key: HashKey | undefined, secure: boolean) {
    this.#caller = caller;
    this.#key = key;
    this.#secure = secure;
  }

  /** Whose turn it is among those that were not tried, `failed` included; undefined if nobody is left. */
  besides(failed: Endpoint): Endpoint | undefined {
    this.leaveOut(failed);
    return this.next();
  }

  /** It was asked, or is being asked, and comes into question no more. */
  leaveOut(endpoint: Endpoint): void {
    if (!this.#tried.includes(endpoint)) this.#tried.push(endpoint);
  }

  /** Whose turn it is among those that were not tried. */
  next(): Endpoint | undefined {
    for (;;) {
      const next = this.#caller.choose({ key: this.#key, tried: this.#tried });
      if (!next) return undefined;
      if (speaks(next, this.#secure)) return this.insteadOf(next);
      this.#tried.push(next);
      next.notCalled();
    }
  }

  /**
   * Somebody else where a call to `first` would wait for a connection, if one who has it to spare is found at once. Where a
   * key has chosen, the call waits: what belongs to the key is there, and nowhere else.
   */
  insteadOf(first: Endpoint): Endpoint {
    const { pools } = this.#caller.ground;
    const belongs = this.#key !== undefined && this.#caller.usesKey;
    if (belongs || !pools.isFull(first) || first.ejection.onTrial) return first;
    const asked = [...this.#tried, first];
    for (let times = 0; times < ASKED; times++) {
      const other = this.#caller.choose({ key: this.#key, tried: asked });
      if (!other) return first;
      if (speaks(other, this.#secure) && !pools.isFull(other)) return other;
      asked.push(other);
      other.notCalled();
    }
    return first;
  }

  /** @throws {DiscoveryError} `NO_MATCH` if nobody besides `first` speaks what the URL asks for either */
  besidesOrThrow(first: Endpoint): Endpoint {
    const next = this.besides(first);
    if (next) return next;
    const { name: service } = this.#caller;
    const wanted = this.#secure ? "https" : "http or https";
    const counts = { known: this.#tried.length, [wanted]: 0 };
    throw new DiscoveryError("NO_MATCH", `No instance of "${service}" speaks ${wanted}`, { service, counts });
  }
}

/** Whether a call may go there: an `https:` URL never goes to an instance that speaks plain HTTP. */
export function speaks({ instance: { protocol } }: Endpoint, secure: boolean): boolean {
  return protocol === "https" || (protocol === "http" && !secure);
}
