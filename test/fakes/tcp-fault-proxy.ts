import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as pass } from "node:timers/promises";

/** What befalls the bytes on their way; each may change while connections are open. */
export type TcpFault =
  | { readonly kind: "none" }
  /** New connections are refused, open ones reset. */
  | { readonly kind: "refuse" }
  /** Bytes are taken and go nowhere; connections are accepted and stay open. */
  | { readonly kind: "blackhole" }
  /** Every chunk comes so much later. */
  | { readonly kind: "delay"; readonly ms: number }
  /** Answers come in pieces of so many bytes, so far apart. */
  | { readonly kind: "drip"; readonly bytes: number; readonly everyMs: number }
  /** The answer ends after so many bytes, cleanly (`fin`) or with a reset. */
  | { readonly kind: "truncate"; readonly afterBytes: number; readonly how: "fin" | "reset" }
  /** Every so manyth byte of the answer is changed. */
  | { readonly kind: "corrupt"; readonly every: number }
  /** The server's side is closed for writing after the first chunk: no more answers, no end. */
  | { readonly kind: "half-close" };

/** A TCP proxy between a client and a real server, on loopback, with faults on demand. */
export class TcpFaultProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #target: number;
  readonly #open = new Set<Socket>();
  #fault: TcpFault = { kind: "none" };
  /** Connections ever accepted. */
  accepted = 0;

  constructor(targetPort: number) {
    this.#target = targetPort;
    this.#server = createServer((client) => this.#join(client));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** On a free port unless one is given. */
  async listen(port = 0): Promise<this> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  /** From now on, also for connections that are open. */
  set(fault: TcpFault): void {
    this.#fault = fault;
    if (fault.kind === "refuse") for (const socket of this.#open) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    this.#server.close();
    if (this.#server.listening) await once(this.#server, "close");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #join(client: Socket): void {
    this.accepted++;
    if (this.#fault.kind === "refuse") return void client.resetAndDestroy();
    const server = connect(this.#target, "127.0.0.1");
    for (const socket of [client, server]) {
      this.#open.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => {
        this.#open.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.on("data", (chunk) => this.#forward(chunk, server));
    void this.#answer(server, client);
  }

  #forward(chunk: Buffer, server: Socket): void {
    const fault = this.#fault;
    if (fault.kind === "blackhole") return;
    if (fault.kind === "delay") setTimeout(() => server.write(chunk), fault.ms);
    else server.write(chunk);
  }

  /** One chunk after the other: what is delayed stays in order. */
  async #answer(server: Socket, client: Socket): Promise<void> {
    let sent = 0;
    try {
      for await (const chunk of server as AsyncIterable<Buffer>) {
        sent = await this.#passOn(chunk, sent, client);
        if (client.destroyed || client.writableEnded) return;
      }
      client.end();
    } catch {
      client.destroy();
    }
  }

  async #passOn(chunk: Buffer, sent: number, client: Socket): Promise<number> {
    const fault = this.#fault;
    switch (fault.kind) {
      case "blackhole":
        return sent;
      case "delay":
        await pass(fault.ms);
        client.write(chunk);
        break;
      case "drip":
        for (let at = 0; at < chunk.length && !client.destroyed; at += fault.bytes) {
          client.write(chunk.subarray(at, at + fault.bytes));
          await pass(fault.everyMs);
        }
        break;
      case "truncate":
        client.write(chunk.subarray(0, Math.max(0, fault.afterBytes - sent)));
        if (sent + chunk.length < fault.afterBytes) break;
        if (fault.how === "fin") client.end();
        else client.resetAndDestroy();
        break;
      case "corrupt":
        client.write(
          chunk.map((byte, index) => ((sent + index) % fault.every === fault.every - 1 ? byte ^ 0x20 : byte)),
        );
        break;
      case "half-close":
        client.write(chunk);
        client.end();
        break;
      default:
        client.write(chunk);
    }
    return sent + chunk.length;
  }
}
