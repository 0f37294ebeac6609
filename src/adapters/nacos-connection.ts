import { networkInterfaces } from "node:os";
import { DiscoveryError } from "../model/errors.js";
import type { Clock } from "../runtime/clock.js";
import { haltSignal, within } from "../runtime/deadline.js";
import { knock } from "../runtime/knock.js";
import { type GrpcAddress, type NacosChannel, openChannel } from "./nacos-channel.js";
import type { NacosClient } from "./nacos-client.js";
import type { NacosScope } from "./nacos-dialects.js";
import { decodePayload, type Envelope, encodePayload, type Fields } from "./nacos-payload.js";

/** So often a connection is asked whether it lives, in milliseconds: as Nacos' own client does; after 20 s Nacos asks. */
export const ALIVE_MS = 5_000;
/** An answer comes within this, in milliseconds, or the connection is dead (Nacos' own client: 3 s). */
const ANSWER_MS = 3_000;
/** A connection is set up within this, in milliseconds; 80 ms is usual. */
const OPEN_MS = 3_000;
/** Until it is, its questions are refused, and asked again after this, in milliseconds. */
const SET_UP_PAUSE_MS = 20;
/** What Nacos' answers say of themselves. */
const CODES = { success: 200, unregistered: 301, forbidden: 403 } as const;
/** What Nacos shows its operators of us. */
const CLIENT = { clientVersion: "mcp-discovery:v1", labels: { source: "sdk", module: "naming" }, abilityTable: {} };
/** What Nacos asks on the stream, and wants an answer to: it drops who gives none. */
const ANSWERED = /^(NotifySubscriber|ClientDetection)Request$/;

/** Where a connection leads, and who asks. */
export interface NacosPlug {
  readonly address: GrpcAddress;
  readonly client: NacosClient;
  readonly scope: NacosScope;
  readonly clock: Clock;
}

/** What a connection tells. */
export interface NacosListener {
  /** Everybody who is listed of a service now, by its name in Nacos. */
  told(named: string, hosts: readonly unknown[]): void;
  /** The connection lives, whether or not there is news. */
  alive(): void;
  /** It came up, told something for the first time, or ended. */
  changed(): void;
}

/**
 * One connection to Nacos that pushes. It is set up, answers what Nacos asks, and proves every few seconds that it lives;
 * whatever goes wrong with it ends it, and nothing brings it back.
 */
export class NacosConnection {
  readonly #plug: NacosPlug;
  readonly #channel: NacosChannel;
  readonly #listener: NacosListener;
  readonly #halt = haltSignal();
  readonly #turns = new Map<string, Promise<unknown>>();
  #isProven = false;
  readonly #envelope = { clientIp: ownAddress(), token: undefined };

  private constructor(plug: NacosPlug, channel: NacosChannel, listener: NacosListener) {
    this.#plug = plug;
    this.#channel = channel;
    this.#listener = listener;
  }

  /** @throws {DiscoveryError} unless it is set up in time; the signal's reason if it aborts */
  static async open(plug: NacosPlug, listener: NacosListener, signal: AbortSignal): Promise<NacosConnection> {
    const { client, address, clock } = plug;
    const { host, port } = address;
    const what = `connection to gRPC port ${host}:${port} of ${client.name}`;
    const scope = { clock, signal };
    const door = { host: host.replace(/^\[|\]$/g, ""), port };
    // behind a firewall gRPC would hold a socket, and with it the process, for two minutes
    if ((await within(what, OPEN_MS, scope, (inner) => knock(door, inner))) !== "alive") {
      throw new DiscoveryError(
        "UNAVAILABLE",
        `${client.name} does not accept on its gRPC port ${host}:${port}: is it open?`,
      );
    }
    const connection = new NacosConnection(plug, await openChannel(client.name, address), listener);
    try {
      await within(what, OPEN_MS, scope, (inner) => connection.#setUp(inner));
    } catch (error) {
      connection.end(error);
      throw error;
    }
    void connection.#keepAlive();
    return connection;
  }

  /** Aborts when it has ended, with why. */
  get signal(): AbortSignal {
    return this.#halt.signal;
  }

  /**
   * Whether anything was pushed so far: a connection may be well, and its server unable to push. Nacos does it half a
   * second after each subscription, whatever happens.
   */
  get isProven(): boolean {
    return this.#isProven;
  }

  /** Asks to be told of a service from now on; answers what is listed now. */
  async subscribe(named: string): Promise<readonly unknown[]> {
    const { serviceInfo } = await this.#inTurn(named, () => this.#subscription(named, true));
    return hostsIn(serviceInfo);
  }

  /** Asks to be told no more; whatever comes of it. */
  unsubscribe(named: string): void {
    this.#inTurn(named, () => this.#subscription(named, false)).catch(() => {});
  }

  /** Ends it. Nothing is told after that. */
  end(cause: unknown): void {
    if (this.#halt.signal.aborted) return;
    this.#halt.abort(cause);
    this.#channel.close();
  }

  async #setUp(signal: AbortSignal): Promise<void> {
    await this.#ask("ServerCheckRequest", {}, this.#envelope, signal);
    const stream = this.#channel.stream(
      (bytes) => this.#hear(bytes, stream.send),
      (cause) => this.end(cause),
    );
    const tenant = this.#plug.scope.namespaceId;
    stream.send(encodePayload({ type: "ConnectionSetupRequest", body: { ...CLIENT, tenant } }, this.#envelope));
    while (!this.#halt.signal.aborted) {
      const { errorCode } = await this.#ask("HealthCheckRequest", {}, this.#envelope, signal);
      if (errorCode !== CODES.unregistered) return;
      await this.#plug.clock.sleep(SET_UP_PAUSE_MS, signal);
    }
    throw this.#halt.signal.reason;
  }

  async #keepAlive(): Promise<void> {
    const { signal } = this.#halt;
    try {
      while (true) {
        await this.#plug.clock.sleep(ALIVE_MS, signal);
        await this.#asked("HealthCheckRequest", (inner) => this.#ask("HealthCheckRequest", {}, this.#envelope, inner));
        this.#listener.alive();
      }
    } catch (error) {
      this.end(error);
    }
  }

  /** Bytes nobody can read may have been a change: polling knows, and a new connection begins with the whole list. */
  #hear(bytes: Buffer, send: (bytes: Buffer) => void): void {
    if (this.#halt.signal.aborted) return;
    try {
      const { type, body } = decodePayload(bytes);
      if (type === "ConnectResetRequest") this.end(new Moved(`${this.#plug.client.name} asks to connect anew`));
      if (!ANSWERED.test(type)) return;
      const answer = { requestId: body["requestId"], resultCode: CODES.success };
      send(encodePayload({ type: type.replace(/Request$/, "Response"), body: answer }, this.#envelope));
      if (type === "NotifySubscriberRequest") this.#told(body["serviceInfo"]);
    } catch (error) {
      this.end(error);
    }
  }

  #told(serviceInfo: unknown): void {
    const { name, groupName } = (serviceInfo ?? {}) as Fields;
    const hosts = hostsIn(serviceInfo);
    const named = String(name).split("@@").at(-1) ?? ""; // some put the group before it
    if (groupName !== this.#plug.scope.groupName) return;
    this.#listener.told(named, hosts);
    if (this.#isProven) return;
    this.#isProven = true;
    this.#listener.changed();
  }

  /** Unary calls overtake each other: a service that is left and watched again must not end up without. */
  async #inTurn<T>(named: string, task: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(named);
    const run = (async () => {
      await before?.catch(() => {});
      return task();
    })();
    this.#turns.set(named, run);
    try {
      return await run;
    } finally {
      if (this.#turns.get(named) === run) this.#turns.delete(named);
    }
  }

  #subscription(serviceName: string, subscribe: boolean): Promise<Fields> {
    const { client, scope } = this.#plug;
    const { namespaceId: namespace, groupName } = scope;
    const type = "SubscribeServiceRequest";
    const body = { namespace, groupName, serviceName, clusters: "", subscribe };
    return this.#asked(type, async (signal) => {
      const isForbidden = ({ errorCode }: Fields): boolean => errorCode === CODES.forbidden;
      const signature = client.signature({ serviceName, groupName });
      const send = (token: string | undefined) =>
        this.#ask(type, body, { ...this.#envelope, token, signature }, signal);
      return client.loggedIn(send, isForbidden, signal);
    });
  }

  /** In time, and with success. */
  async #asked(type: string, ask: (signal: AbortSignal) => Promise<Fields>): Promise<Fields> {
    const { client, clock } = this.#plug;
    const what = `${type} to ${client.name}`;
    const answer = await within(what, ANSWER_MS, { clock, signal: this.#halt.signal }, ask);
    if (answer["resultCode"] === CODES.success) return answer;
    const { errorCode, message } = answer;
    const code = errorCode === CODES.forbidden ? "UNAUTHORIZED" : "UNAVAILABLE";
    throw new DiscoveryError(code, `${client.name} answered ${type} with ${String(errorCode)}: ${String(message)}`);
  }

  async #ask(type: string, body: Fields, envelope: Envelope, signal: AbortSignal): Promise<Fields> {
    return decodePayload(await this.#channel.ask(encodePayload({ type, body }, envelope), signal)).body;
  }
}

/** Nacos wants to have fewer connections, or to stop: nobody's fault. */
export class Moved extends DiscoveryError {
  constructor(message: string) {
    super("UNAVAILABLE", message);
  }
}

function hostsIn(serviceInfo: unknown): readonly unknown[] {
  const { hosts } = (serviceInfo ?? {}) as Fields;
  if (Array.isArray(hosts)) return hosts;
  throw new DiscoveryError("PROTOCOL", "Nacos sent a service without a list over gRPC");
}

/** The first address others may know this machine by. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return all.find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1";
}
