import { createRequire } from "node:module";
import type { Socket } from "node:net";
import { createSecureContext } from "node:tls";
import type { ChannelCredentials, Client, ServiceError } from "@grpc/grpc-js";
import { DiscoveryError } from "../model/errors.js";

const PATHS = { ask: "/Request/request", stream: "/BiRequestStream/requestBiStream" } as const;
/** The most one message may hold, in bytes: what a list over HTTP may. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/**
 * Nacos knows a client by its TCP connection: no two may share one, however alike. It ends connections that ping more
 * often than every five minutes, so that nothing is said to keep one alive but requests.
 */
const CHANNEL_OPTIONS = {
  "grpc.use_local_subchannel_pool": 1,
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.service_config_disable_resolution": 1,
  "grpc.enable_retries": 0,
  "grpc.enable_http_proxy": 0, // what goes over HTTP takes none either
} as const;

/** Where Nacos' gRPC port is. */
export interface GrpcAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** One connection to Nacos' gRPC port, in bytes. */
export interface NacosChannel {
  /** One question, one answer. @throws {DiscoveryError} `UNAVAILABLE`, `PROTOCOL`; the signal's reason if it aborts */
  ask(question: Buffer, signal: AbortSignal): Promise<Buffer>;
  /** Opens the stream both sides speak on; `ended` is called once, with why. */
  stream(heard: (bytes: Buffer) => void, ended: (cause: DiscoveryError) => void): { send(bytes: Buffer): void };
  close(): void;
}

/** Whether gRPC is spoken here: whoever wants it installs the package. */
export function isGrpcInstalled(): boolean {
  try {
    createRequire(import.meta.url).resolve("@grpc/grpc-js");
    return true;
  } catch {
    return false;
  }
}

/** A connection of its own; it is opened by the first question. @throws {DiscoveryError} `UNSUPPORTED` without the package */
export async function openChannel(name: string, { host, port, tls }: GrpcAddress): Promise<NacosChannel> {
  const grpc = await import("@grpc/grpc-js").catch((cause: unknown) => {
    throw new DiscoveryError("UNSUPPORTED", `${name} pushes over gRPC, which needs @grpc/grpc-js`, { cause });
  });
  const credentials = unreferenced(
    tls ? grpc.credentials.createFromSecureContext(createSecureContext()) : grpc.credentials.createInsecure(),
  );
  const client: Client = new grpc.Client(`dns:${host}:${port}`, credentials, CHANNEL_OPTIONS);
  let stopStream = (): void => {};
  const failure = ({ code, details }: ServiceError): DiscoveryError => {
    const isAway = code === grpc.status.UNAVAILABLE || code === grpc.status.CANCELLED;
    const text = `${name} ended ${isAway ? "a connection" : "a call"} on its gRPC port ${host}:${port}: ${details}`;
    return new DiscoveryError(isAway ? "UNAVAILABLE" : "PROTOCOL", text);
  };

  return {
    ask(question, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const abort = (): void => {
          call.cancel();
          reject(signal.reason);
        };
        const call = client.makeUnaryRequest(PATHS.ask, asIs, asIs, question, (error, answer) => {
          signal.removeEventListener("abort", abort);
          if (answer) resolve(answer);
          else reject(error ? failure(error) : new DiscoveryError("PROTOCOL", `${name} answered nothing over gRPC`));
        });
        signal.addEventListener("abort", abort, { once: true });
      });
    },

    stream(heard, ended) {
      const call = client.makeBidiStreamRequest(PATHS.stream, asIs, asIs);
      call.on("data", heard);
      call.once("error", (error: ServiceError) => ended(failure(error)));
      call.once("end", () => ended(new DiscoveryError("UNAVAILABLE", `${name} ended its gRPC stream`)));
      call.on("error", () => {}); // what follows the first says nothing new
      stopStream = () => call.cancel();
      return { send: (bytes) => void call.write(bytes) };
    },

    close() {
      stopStream(); // a client that is closed lets go of no call by itself
      client.close();
    },
  };
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

/**
 * Credentials whose sockets do not keep the process alive, as those of HTTP do not. Before 1.13 gRPC tells nobody of its
 * sockets: there an open watch does.
 */
function unreferenced(credentials: ChannelCredentials): ChannelCredentials {
  const create = credentials._createSecureConnector?.bind(credentials);
  if (!create) return credentials;
  credentials._createSecureConnector = (...given) => {
    const connector = create(...given);
    const connect = connector.connect.bind(connector);
    connector.connect = async (socket) => {
      detach(socket);
      const connected = await connect(socket);
      detach(connected.socket);
      return connected;
    };
    return connector;
  };
  return credentials;
}

function detach(socket: Socket): void {
  socket.unref();
  socket.ref = () => socket;
}
