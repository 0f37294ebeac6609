import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, isIP } from "node:net";
import type { Duplex } from "node:stream";
import { DiscoveryError } from "../model/errors.js";
import { invalid, numberIn } from "../model/fields.js";
import { hostPort } from "../model/instance.js";
import { memoryRegistry } from "../registry/memory.js";
import type { MemoryRegistryEvents } from "../registry/memory-events.js";
import type { MemoryRegistry } from "../registry/memory-options.js";
import { isRegistrar, type Registry } from "../registry/registry.js";
import { systemClock, whileAwaited } from "../runtime/clock.js";
import { Emitter } from "../runtime/emitter.js";
import { knownKeys } from "../runtime/options.js";
import { hostCheck } from "./host-policy.js";
import { Probing } from "./probing.js";
import { Routes } from "./routes.js";
import { memoryOptionsIn, type RegistryServerOptions, SERVER_KEYS } from "./server-options.js";

/** Eureka's port, which people know; the spec names none. */
const PORT = 8_761;
/** Connections the kernel may hold ready: a fleet that starts at once must not be told to come back in a second. */
const BACKLOG = 8_192;
/** Headers, and bodies, must be here within this, in milliseconds: nobody may hold a socket by dripping. */
const HEADERS_MS = 5_000;
const REQUEST_MS = 10_000;
const CHECK_MS = 1_000;
/** Sockets wait this long for the next beat, in milliseconds: longer than any usual beat interval. */
const KEEP_ALIVE_MS = 75_000;
/** Sockets at one time, so that a flood does not take the last file handle. */
const MAX_CONNECTIONS = 10_000;
const EVENTS = ["failed", "recovered", "unstable", "preserved", "released", "snapshotFailed"] as const;
/** Half a byte each, and more: nobody guesses such a key. */
const MIN_KEY_LENGTH = 32;
const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"];

/** A registry that others reach over HTTP. It tells what its memory tells: instances that fail, recover or are in doubt. */
export class RegistryServer<R extends Registry = Registry>
  extends Emitter<MemoryRegistryEvents>
  implements AsyncDisposable
{
  /** What keeps the registrations: what was handed in, or the server's own {@link MemoryRegistry}. */
  readonly registry: R;
  readonly #host: string;
  readonly #port: number;
  readonly #server: Server;
  readonly #routes: Routes;
  readonly #own: boolean;
  #closing: Promise<void> | undefined;

  /** @internal Use `createRegistryServer()`. */
  constructor(options: RegistryServerOptions) {
    super();
    knownKeys("server", options, SERVER_KEYS);
    const { host = "127.0.0.1", port = PORT, clock = systemClock, registry, probe = {} } = options;
    this.#port = numberIn("server.port", port, 0, 65_535, true);
    this.#host = host;
    const isLocal = host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
    if (!isLocal && options.insecure !== true) {
      const message = `Binding to ${host} lets anybody on the network register and deregister. Set insecure: true (on the command line --insecure) to do so`;
      throw new DiscoveryError("INSECURE_BIND", message, { field: "server.host" });
    }
    if (registry !== undefined && !isRegistrar(registry)) throw invalid("server.registry", registry, "a registry");
    const leaseKey = keyIn(options.leaseKey);
    this.#own = registry === undefined;
    const checkHost = hostCheck("server.hostPolicy", options.hostPolicy ?? (isLocal ? "any" : "peer"));
    const probing = new Probing(probe, clock, isLocal);
    const own = (): Registry => memoryRegistry({ clock, probe: probing.connect, ...memoryOptionsIn(options) });
    this.registry = (registry ?? own()) as R; // createRegistryServer() says which
    if (this.registry instanceof Emitter) this.#passOn(this.registry);
    const hosts = [...LOOPBACK_NAMES, host, ...(options.hosts ?? [])].map((name) => name.toLowerCase());
    const names = isLocal ? new Set(hosts) : undefined;
    const prober = probing.proberFor(this.registry);
    this.#routes = new Routes(this.registry, clock, names, { checkHost, prober, leaseKey });
    this.#server = createServer(
      {
        headersTimeout: HEADERS_MS,
        requestTimeout: REQUEST_MS,
        connectionsCheckingInterval: CHECK_MS,
        keepAliveTimeout: KEEP_ALIVE_MS,
      },
      (request: IncomingMessage, response: ServerResponse) => this.#routes.handle(request, response),
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on("clientError", refuse);
    this.#server.on("error", () => {}); // a connection that could not be accepted concerns nobody else
  }

  /** Where it listens; undefined before `listen()`. */
  get url(): string | undefined {
    const address = this.#server.address() as AddressInfo | null;
    return address ? `http://${hostPort(address.address, address.port)}` : undefined;
  }

  /** Begins to listen; resolves with the URL. Rejects with Node's own error if the port is taken. */
  listen(): Promise<string> {
    const listening = new Promise<string>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ port: this.#port, host: this.#host, backlog: BACKLOG }, () => {
        this.#server.off("error", reject);
        resolve(this.url as string);
      });
    });
    return whileAwaited(listening);
  }

  /** Answers one request, for whoever mounts the registry in a server of their own. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    this.#routes.handle(request, response);
  }

  /** Ends every connection; closes the registry if it is its own. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #passOn(memory: Emitter<MemoryRegistryEvents>): void {
    for (const event of EVENTS) memory.on(event, (told: never) => this.emit(event, told));
  }

  async #close(): Promise<void> {
    this.#routes.close();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    if (this.#own) await this.registry.close();
    await closed;
  }
}

function keyIn(key: unknown): string | undefined {
  if (key === undefined || (typeof key === "string" && key.length >= MIN_KEY_LENGTH)) return key;
  const text = `server.leaseKey must be a text of ${MIN_KEY_LENGTH} characters or more`; // without what was given
  throw new DiscoveryError("INVALID_OPTION", text, { field: "server.leaseKey" });
}

const REFUSALS: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
};

/** Answers what cannot be read as a request, before it becomes one. */
function refuse(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (!socket.writable) return void socket.destroy();
  socket.end(`HTTP/1.1 ${REFUSALS[error.code ?? ""] ?? "400 Bad Request"}\r\nconnection: close\r\n\r\n`);
}

/**
 * Makes a registry server; it does nothing before `listen()`. Without a `registry` it makes a memory of its own.
 *
 * @throws {DiscoveryError} `INVALID_OPTION` · `INSECURE_BIND` if it would be open to the network unasked
 */
export function createRegistryServer(
  options?: RegistryServerOptions & { readonly registry?: never },
): RegistryServer<MemoryRegistry>;
/** The same in front of a registry that somebody else made. */
export function createRegistryServer<R extends Registry>(
  options: RegistryServerOptions & { readonly registry: R },
): RegistryServer<R>;
/** The same where options do not say which. */
export function createRegistryServer(options?: RegistryServerOptions): RegistryServer;
export function createRegistryServer(options: RegistryServerOptions = {}): RegistryServer {
  return new RegistryServer(options);
}
