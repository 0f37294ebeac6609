import { buildConnector, type Dispatcher, Pool } from "undici";
import type { Endpoint } from "../endpoint/endpoint.js";
import { hostPort } from "../model/instance.js";
import type { Clock } from "../runtime/clock.js";

/** Pools kept at once; an idle one costs as much memory as a hundred instances, so those not called for long go. */
const MAX_POOLS = 1_024;
/** Calls in flight to an instance that left may take this long to end, in milliseconds. */
const LINGER_MS = 60_000;
/** A connection that is not there after this, in milliseconds, never will be: calls have given up on it before. */
const CONNECT_TIMEOUT_MS = 10_000;

/** A body may be silent for this long, in milliseconds: undici's own default. */
const IDLE_MS = 300_000;

/** The way to one endpoint: its pool, and how many calls are on it. */
export class Lane {
  readonly pool: Pool;
  /** How many calls it carries at once; more wait until one of them is over. */
  readonly sockets: number;
  /** Calls that have a socket or wait for one. */
  calls = 0;
  /** @internal */ usedAt: number;

  constructor(pool: Pool, sockets: number, now: number) {
    this.pool = pool;
    this.sockets = sockets;
    this.usedAt = now;
  }
}

/** How connections are made. */
export interface PoolOptions {
  readonly connections: number;
  readonly authority: "instance" | "service";
  readonly clock: Clock;
}

/** One undici pool per endpoint, made when it is first called and closed after its last call. */
export class Pools {
  readonly #options: PoolOptions;
  readonly #lanes = new Map<Endpoint, Lane>();
  readonly #leaving = new Set<Pool>();
  #isClosed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#lanes.size;
  }

  /** The way to an endpoint; `now` is when it is used. */
  of(endpoint: Endpoint, now: number): Lane {
    let lane = this.#lanes.get(endpoint);
    if (lane === undefined) {
      lane = new Lane(poolFor(endpoint, this.#options), this.#options.connections, now);
      if (this.#isClosed) return destroyed(lane);
      if (this.#lanes.size >= MAX_POOLS) this.#closeOldest(); // before it is there itself: no call is on it yet
      this.#lanes.set(endpoint, lane);
    }
    lane.usedAt = now;
    if (endpoint.hasLeft) queueMicrotask(() => this.retire([endpoint])); // called this once more, after a pause
    return lane;
  }

  /** Whether a call to it would have to wait until another one is over. */
  isFull(endpoint: Endpoint): boolean {
    const { connections } = this.#options;
    return endpoint.load.inFlight >= connections && (this.#lanes.get(endpoint)?.calls ?? 0) >= connections;
  }

  /** These endpoints get no new calls: each pool is closed when its last one has ended. */
  retire(endpoints: readonly Endpoint[]): void {
    for (const endpoint of endpoints) {
      const lane = this.#lanes.get(endpoint);
      if (!lane) continue;
      this.#lanes.delete(endpoint);
      this.#close(lane.pool);
    }
  }

  /** Ends every connection, whatever is in flight; a call in a pause opens no other. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const all = [...[...this.#lanes.values()].map(({ pool }) => pool), ...this.#leaving];
    this.#lanes.clear();
    this.#leaving.clear();
    await Promise.all(all.map((pool) => pool.destroy()));
  }

  #close(pool: Pool): void {
    this.#leaving.add(pool);
    const cancel = this.#options.clock.schedule(LINGER_MS, () => void pool.destroy());
    const closed = (): void => {
      cancel();
      this.#leaving.delete(pool);
    };
    pool.close().then(closed, closed);
  }

  #closeOldest(): void {
    let oldest: [Endpoint, Lane] | undefined;
    for (const candidate of this.#lanes) {
      if (candidate[1].calls === 0 && !(oldest && oldest[1].usedAt <= candidate[1].usedAt)) oldest = candidate;
    }
    if (oldest) this.retire([oldest[0]]);
  }
}

/** It refuses every call, as those do that were open. */
function destroyed(lane: Lane): Lane {
  void lane.pool.destroy();
  return lane;
}

const ENOUGH = new Error("The connection is there"); // never seen by anybody

/**
 * Opens a connection and leaves it in the pool: a request is begun and taken back before a byte of it is written.
 * Resolves in any case, also when nobody can be reached.
 */
export function opened(pool: Dispatcher): Promise<void> {
  return new Promise((resolve) => {
    const handler: Dispatcher.DispatchHandler = {
      onConnect: () => {
        throw ENOUGH; // aborting would end the connection too
      },
      onHeaders: () => true,
      onData: () => true,
      onComplete: () => resolve(),
      onError: () => resolve(),
    };
    pool.dispatch({ path: "/", method: "GET" }, handler);
  });
}

function poolFor({ instance }: Endpoint, { connections, authority }: PoolOptions): Pool {
  const { protocol, host, port, service } = instance;
  const connect = buildConnector({ timeout: CONNECT_TIMEOUT_MS, servername: service });
  const there = { hostname: host, host: hostPort(host, port), port: String(port) };
  const origin = authority === "service" ? service : there.host;
  return new Pool(`${protocol}://${origin}`, {
    connections,
    headersTimeout: IDLE_MS, // ours strike before; but two different values cost undici two new timers a call
    bodyTimeout: IDLE_MS,
    connect: (options, callback) => connect({ ...options, ...there }, callback),
  });
}
