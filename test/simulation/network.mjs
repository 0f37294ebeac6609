import { Exchange } from "./exchange.mjs";

/** A network without faults: a LAN. Shares are of messages; delays are one way, in milliseconds. */
export const CALM = Object.freeze({
  drop: 0,
  duplicate: 0,
  spike: 0,
  skip: 0,
  double: 0,
  swap: 0,
  leastMs: 0.2,
  mostMs: 4,
  spikeMs: 0,
});

/**
 * Hosts and the ways between them. It carries text alone: nothing is shared by reference.
 *
 * A lost message silences its connection for good, as a half-open one is silent; lines of a stream may also be skipped,
 * doubled or swapped one by one, as by a relay that errs.
 */
export class Network {
  weather = CALM;
  /** What was done to messages, by kind. */
  faults = {};
  #world;
  #dice;
  #listeners = new Map();
  #cuts = new Set();
  #late = new Map();
  #knocks = new Map();

  constructor(world, dice) {
    this.#world = world;
    this.#dice = dice;
  }

  /** Whatever answers at a host: `{ process, handle }`, or a crashed host's word: "refuses" or "swallows". */
  listen(host, listener) {
    this.#listeners.set(host, listener);
  }

  at(host) {
    return this.#listeners.get(host) ?? "refuses";
  }

  /** Cuts the way from one host to another, one way. */
  cut(from, to) {
    this.#cuts.add(`${from}>${to}`);
    this.count("cut");
  }

  /** The next message from one host to another comes late by that much. */
  delayNext(from, to, ms) {
    this.#late.set(`${from}>${to}`, ms);
  }

  mendAll() {
    this.#cuts.clear();
    this.#late.clear();
    this.weather = CALM;
  }

  isCut(from, to) {
    return this.#cuts.size > 0 && (this.#cuts.has(`${from}>${to}`) || this.#cuts.has(`${to}>${from}`));
  }

  /** What comes of a connection from one host to an address: the library's probe, without the time it takes. */
  knock(from, address) {
    const provider = this.#world.providers.find((each) => each.address === address);
    if (!provider) return "unknown";
    const found = this.#found(from, provider);
    this.#knocks.set(`${from}>${provider.id}`, {
      ...this.knocksAt(from, provider.id),
      found,
      [found]: this.#world.now,
    });
    return found;
  }

  #found(from, provider) {
    if (!provider.isMachineUp || this.isCut(from, provider.host)) return "unknown";
    return provider.life?.process.isAlive ? "alive" : "refused"; // a kernel accepts for the paused too
  }

  /** What a knock from a host at an instance found last, and when any found it so. */
  knocksAt(from, id) {
    return this.#knocks.get(`${from}>${id}`) ?? { found: undefined, alive: -1, refused: -1 };
  }

  /** Opens a connection and sends one request; `client` hears of the answer. */
  open(process, host, request, client) {
    const exchange = new Exchange(this, process, host, request, client);
    process.sentAt.set(exchange.name.split("?", 1)[0], this.#world.now);
    exchange.send();
    if (this.#dice.chance(this.weather.duplicate)) {
      this.count("duplicate");
      new Exchange(this, process, host, request, undefined).send();
    }
    return exchange;
  }

  /**
   * Carries a message; `arrived` runs at the other end. `flow` keeps messages of one direction in order and silent once
   * one is lost.
   */
  carry(from, to, flow, arrived) {
    if (flow.isSilent) return;
    const { weather } = this;
    if (this.#isLost(from, to)) {
      flow.isSilent = true;
      return;
    }
    let delayMs = this.#dice.between(weather.leastMs, weather.mostMs);
    if (this.#dice.chance(weather.spike)) {
      this.count("delay");
      delayMs += this.#dice.between(0, weather.spikeMs);
    }
    const lateMs = this.#late.get(`${from}>${to}`);
    if (lateMs !== undefined) {
      this.#late.delete(`${from}>${to}`);
      this.count("delay");
      delayMs += lateMs;
    }
    const { now } = this.#world.scheduler;
    flow.lastAt = Math.max(flow.lastAt, now + delayMs);
    this.#world.scheduler.after(flow.lastAt - now, () => {
      if (this.#cuts.has(`${from}>${to}`)) flow.isSilent = true;
      if (!flow.isSilent) arrived();
    });
  }

  /** What befalls one line of a stream: "skip", "double", "swap", or nothing. */
  lineFault() {
    const { skip, double, swap } = this.weather;
    if (skip + double + swap === 0) return undefined;
    const kinds = { skip, double, swap, none: 1 - skip - double - swap };
    const kind = this.#dice.weighted(kinds);
    if (kind === "none") return undefined;
    this.count(kind);
    return kind;
  }

  count(kind) {
    this.faults[kind] = (this.faults[kind] ?? 0) + 1;
  }

  note(text) {
    this.#world.note(text);
  }

  asked(exchange) {
    this.#world.checks.asked(exchange);
  }

  answered(exchange, status, text) {
    this.#world.checks.answered(exchange, status, text);
  }

  #isLost(from, to) {
    if (this.#cuts.has(`${from}>${to}`)) return true;
    if (!this.#dice.chance(this.weather.drop)) return false;
    this.count("drop");
    return true;
  }
}
