import { connect, createServer, type Server, type Socket } from "node:net";
import { CONSUL_PORT } from "../../connect/consul.js";
import { ETCD_PORT } from "../../connect/etcd.js";
import { EUREKA } from "../../connect/eureka.js";
import { NACOS_PORT } from "../../connect/nacos.js";

/** Schemes a relay can stand before, and where their servers listen. With TLS a name is promised that is not the relay's. */
const PORTS: Readonly<Record<string, number>> = {
  "http:": 80,
  "consul:": CONSUL_PORT,
  "etcd:": ETCD_PORT,
  "eureka:": EUREKA.port,
  "nacos:": NACOS_PORT,
};

/** Stands between the demo's processes and a registry that is not ours to kill. */
export interface Relay {
  /** The registry's URL, by way of the relay. */
  readonly url: string;
  /** Ends every connection and takes no other, as a server that died. */
  cut(): void;
  /** Takes connections again. */
  mend(): Promise<void>;
  close(): void;
}

/** Undefined where none can stand: several hosts, or TLS. */
export async function relayTo(registry: string): Promise<Relay | undefined> {
  const url = URL.canParse(registry) ? new URL(registry) : undefined;
  const fallback = url && PORTS[url.protocol];
  if (!url || !fallback || url.searchParams.has("peers") || url.hostname.includes(",")) return undefined;
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = Number(url.port || fallback);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, host);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true).pipe(other);
      socket.on("error", () => {}); // closes, which is all that matters
      socket.once("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  const cut = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  url.host = `127.0.0.1:${await listening(server, 0)}`;
  const own = Number(url.port);
  return { url: url.href, cut, close: cut, mend: async () => void (await listening(server, own)) };
}

function listening(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      const address = server.address();
      resolve(typeof address === "object" && address ? address.port : port);
    });
  });
}
