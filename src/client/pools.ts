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

interface Entry {
  readonly pool: Pool;
  usedAt: number;
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
  readonly #entries = new Map<Endpoint, Entry>();
  readonly #leaving = new Set<Pool>();
  #isClosed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The pool of an endpoint; `now` is when it is used. */
  of(endpoint: Endpoint, now: number): Dispatcher {
    let entry = this.#entries.get(endpoint);
    if (entry === undefined) {
      entry = { pool: poolFor(endpoint, this.#options), usedAt: now };
      if (this.#isClosed) return destroyed(entry.pool);
      this.#entries.set(endpoint, entry);
      if (this.#entries.size > MAX_POOLS) this.#closeOldest();
    }
    entry.usedAt = now;
    return entry.pool;
  }

  /** These endpoints get no new calls: each pool is closed when its last one has ended. */
  retire(endpoints: readonly Endpoint[]): void {
    for (const endpoint of endpoints) {
      const entry = this.#entries.get(endpoint);
      if (!entry) continue;
      this.#entries.delete(endpoint);
      this.#close(entry.pool);
    }
  }

  /** Ends every connection, whatever is in flight; a call in a pause opens no other. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const all = [...[...this.#entries.values()].map(({ pool }) => pool), ...this.#leaving];
    this.#entries.clear();
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
    let oldest: [Endpoint, Entry] | undefined;
    for (const candidate of this.#entries) {
      if (candidate[0].load.inFlight === 0 && !(oldest && oldest[1].usedAt <= candidate[1].usedAt)) oldest = candidate;
    }
    if (oldest) this.retire([oldest[0]]);
  }
}

/** It refuses every call, as those do that were open. */
function destroyed(pool: Pool): Pool {
  void pool.destroy();
  return pool;
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
