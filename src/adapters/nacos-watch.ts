import { DiscoveryError } from "../model/errors.js";
import type { Position, RegistryUpdate } from "../model/update.js";
import type { Cancel, Clock, Random } from "../runtime/clock.js";
import { haltSignal } from "../runtime/deadline.js";
import type { Answer } from "./nacos-answer.js";
import type { NacosConnection } from "./nacos-connection.js";
import { NacosLink, type NacosPlugs } from "./nacos-link.js";
import { Reader, toldTo } from "./watch-reader.js";

/** A list shows what a push must tell within this, in milliseconds (both are merged for 500), or the push is deaf. */
const LAG_MS = 2_000;
/** A connection that would not tell of a service is asked again after this, in milliseconds. */
const ASK_AGAIN_MS = 30_000;
/** The share by which a poll may come early or late, so that a fleet that lost its connection does not ask in step. */
const JITTER = 0.1;

/** What a watch needs. */
export interface NacosWatchOptions extends NacosPlugs {
  /** How a service is called in Nacos. */
  readonly nameOf: (service: string) => string;
  /** Reads what was pushed of a service. */
  readonly pushed: (service: string, hosts: readonly unknown[]) => Answer;
  /** Asks over HTTP. */
  readonly read: (service: string, signal: AbortSignal) => Promise<Answer>;
  /** Time between two lists of a service of which nothing is pushed, in milliseconds. */
  readonly intervalMs: number;
  readonly random: Random;
}

/** Services as Nacos pushes them, over one connection for all; while there is none each is polled. */
export class NacosWatch {
  readonly #options: NacosWatchOptions;
  readonly #link: NacosLink;
  readonly #followed = new Map<string, Followed>();

  constructor(options: NacosWatchOptions) {
    this.#options = options;
    const listener = {
      told: (named: string, hosts: readonly unknown[]) => this.#pushed(named, hosts),
      alive: () => this.#alive(),
      changed: () => this.#stir(),
    };
    this.#link = new NacosLink(options, listener, options.random);
  }

  /** Whether changes are pushed, as far as is known; else services are polled. */
  get isPushing(): boolean {
    return this.#link.isPushing;
  }

  /** The updates of one service, beginning with what it is now. Throws when it is neither pushed nor can be polled. */
  async *of(service: string, since: Position | undefined, signal: AbortSignal): AsyncGenerator<RegistryUpdate> {
    if (signal.aborted) return;
    const followed = this.#followed.get(service) ?? this.#begin(service);
    const reader = new Reader(since);
    if (followed.now) reader.begin(followed.now.update);
    yield* toldTo(reader, followed.readers, signal, () => this.#end(followed));
  }

  /** Ends every watch. */
  close(): void {
    for (const followed of this.#followed.values()) {
      const closed = new DiscoveryError("CLOSED", `${this.#options.client.name} is closed`);
      for (const reader of followed.readers) reader.fail(closed);
      this.#end(followed);
    }
  }

  /** Compares a list with what was pushed: where they differ for long, Nacos is asked what it would push. */
  compare(service: string, listed: Answer): void {
    const followed = this.#followed.get(service);
    const { pusher, now } = followed ?? {};
    if (!followed || !isPushed(followed) || !pusher || !now || now.mark === listed.mark) return;
    this.#options.clock.schedule(LAG_MS, () => {
      const isOver = followed.halt.signal.aborted; // then nobody told it what was pushed meanwhile
      if (!isOver && followed.pusher === pusher && followed.now === now) void this.#askAnew(followed, pusher);
    });
  }

  async #askAnew(followed: Followed, pusher: NacosConnection): Promise<void> {
    const { service, named, now } = followed;
    try {
      const answer = this.#options.pushed(service, await pusher.subscribe(named));
      if (followed.now !== now || answer.mark === now?.mark) return; // it has nothing else to say: opinions differ
      throw new DiscoveryError("UNAVAILABLE", `Nacos was silent about a change of ${service}`, { service });
    } catch (error) {
      pusher.end(error);
    }
  }

  #begin(service: string): Followed {
    const followed = new Followed(service, this.#options.nameOf(service), this.#link.need());
    this.#followed.set(service, followed);
    void this.#follow(followed);
    return followed;
  }

  #end(followed: Followed): void {
    const { service, named, halt, pusher } = followed;
    if (halt.signal.aborted) return;
    halt.abort(new DiscoveryError("CLOSED", `The watch of ${service} is over`));
    this.#followed.delete(service);
    followed.stir();
    if (pusher) this.#unsubscribe(named, pusher);
    followed.letGo();
  }

  /** Unless another service of ours has the same name in Nacos. */
  #unsubscribe(named: string, pusher: NacosConnection): void {
    const isShared = [...this.#followed.values()].some((other) => other.named === named);
    if (!isShared) pusher.unsubscribe(named);
  }

  /** Pushed while that works, polled while it does not, until nobody listens any more or a poll fails. */
  async #follow(followed: Followed): Promise<void> {
    const { clock, intervalMs, random, read } = this.#options;
    const { service, halt } = followed;
    try {
      while (!halt.signal.aborted) {
        followed.isStirred = false;
        const isTold = await this.#join(followed);
        if (!isTold && !isPushed(followed)) followed.tell(await read(service, halt.signal));
        const pauseMs = intervalMs * (1 - JITTER + 2 * JITTER * random());
        await followed.rest(isPushed(followed) ? undefined : pauseMs, clock);
      }
    } catch (error) {
      for (const reader of followed.readers) reader.fail(error);
      this.#end(followed);
    }
  }

  /** Subscribes by the connection there is, unless that was done. True if it told what is listed now. */
  async #join(followed: Followed): Promise<boolean> {
    const { clock } = this.#options;
    const { service, named, refusal, now } = followed;
    const pusher = this.#link.connection;
    if (pusher === followed.pusher) return false;
    followed.pusher = undefined;
    if (!pusher || (refusal?.by === pusher && clock.now() - refusal.at < ASK_AGAIN_MS)) return false;
    try {
      const hosts = await pusher.subscribe(named);
      if (followed.halt.signal.aborted) this.#unsubscribe(named, pusher); // it was over before it was told
      if (followed.now === now) followed.tell(this.#options.pushed(service, hosts)); // else a push was faster
      followed.pusher = pusher;
      return true;
    } catch {
      followed.refusal = { by: pusher, at: clock.now() };
      return false;
    }
  }

  #pushed(named: string, hosts: readonly unknown[]): void {
    for (const followed of this.#followed.values()) {
      if (followed.named !== named) continue;
      followed.tell(this.#options.pushed(followed.service, hosts));
    }
  }

  /** The connection has changed: whoever rests looks again. */
  #stir(): void {
    for (const followed of this.#followed.values()) followed.stir();
  }

  #alive(): void {
    for (const { pusher, now, readers } of this.#followed.values()) {
      if (!pusher || !now) continue;
      for (const reader of readers) reader.tell({ type: "current" }, () => now.update);
    }
  }
}

/** Whether changes are told as they happen: by a connection that lives, and has pushed before. */
function isPushed({ pusher }: Followed): boolean {
  return pusher?.isProven === true && !pusher.signal.aborted;
}

/** A service that is watched. */
class Followed {
  readonly service: string;
  /** How Nacos calls it. */
  readonly named: string;
  readonly letGo: () => void;
  readonly readers = new Set<Reader>();
  readonly halt = haltSignal();
  now: Answer | undefined;
  /** The connection that tells of it. */
  pusher: NacosConnection | undefined;
  /** A connection that would not, and when. */
  refusal: { readonly by: NacosConnection; readonly at: number } | undefined;

  /** Whether something has changed since it was looked at. */
  isStirred = false;
  #wake: () => void = () => {};

  constructor(service: string, named: string, letGo: () => void) {
    this.service = service;
    this.named = named;
    this.letGo = letGo;
  }

  tell(answer: Answer): void {
    this.now = answer;
    for (const reader of this.readers) reader.begin(answer.update);
  }
  stir(): void {
    this.isStirred = true;
    this.#wake();
  }

  /** Waits until it is stirred, but so long at most, in milliseconds. */
  async rest(ms: number | undefined, clock: Clock): Promise<void> {
    if (this.isStirred) return;
    let cancel: Cancel = () => {};
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (ms !== undefined) cancel = clock.schedule(ms, resolve);
    });
    cancel();
  }
}
