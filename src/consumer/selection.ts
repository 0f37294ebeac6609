import type { Endpoint, Outcome } from "../endpoint/endpoint.js";
import { hostPort, type ServiceInstance } from "../model/instance.js";
import type { Clock } from "../runtime/clock.js";

/**
 * One pick: who to talk to, and where to say how it went. Release it when the call is over, in a `finally`; on Node
 * versions that know `using`, that does it too.
 */
export class Selection implements Disposable {
  readonly #endpoint: Endpoint;
  readonly #clock: Clock;
  readonly #begunAt: number;
  readonly #life: number;
  #reported = false;
  #released = false;

  /** @internal Use `service.pick()`. */
  constructor(endpoint: Endpoint, clock: Clock) {
    this.#endpoint = endpoint;
    this.#clock = clock;
    this.#begunAt = clock.now();
    this.#life = endpoint.life;
    endpoint.begin(this.#begunAt);
  }

  get instance(): ServiceInstance {
    return this.#endpoint.instance;
  }

  /** `protocol://host:port` of the instance. */
  get url(): string {
    const { protocol, host, port } = this.#endpoint.instance;
    return `${protocol}://${hostPort(host, port)}`;
  }

  /** Says how the call went, as soon as that is known. Only the first report counts. */
  report(outcome: Outcome): void {
    if (this.#reported || this.#released) return;
    this.#reported = true;
    const now = this.#clock.now();
    this.#endpoint.settle(outcome, now - this.#begunAt, now, this.#life);
  }

  /** The call is over. What was never reported counts as cancelled: it says nothing about the instance. */
  release(): void {
    if (this.#released) return;
    this.report("cancelled");
    this.#released = true;
    this.#endpoint.end();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
