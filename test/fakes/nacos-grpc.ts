import {
  type Server as GrpcServer,
  type handleBidiStreamingCall,
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  status,
} from "@grpc/grpc-js";
import { decodePayload, encodePayload, type Fields } from "../../src/adapters/nacos-payload.js";

/** Nacos' gRPC port as it was recorded from 2.3.2 and 3.0.3. What it lists is what it was told to, over HTTP or here. */
export interface FakeNacosGrpc {
  readonly port: number;
  /** Every question and every word on the stream, in order. */
  readonly asked: { readonly type: string; readonly body: Fields; readonly bytes: Buffer }[];
  /** Connections ever set up. */
  readonly setUps: number;
  /** Answers questions of that type by these instead; undefined: never. */
  answer(type: string, body: Fields | undefined): void;
  /** Ends every stream together with its next answer to a question of that type. */
  cutAfter(type: string): void;
  /** Says something on every stream that is open. */
  send(type: string, body: Fields): void;
  sendBytes(bytes: Buffer): void;
  /** Ends every stream. */
  cut(): void;
  close(): void;
}

const ENVELOPE = { clientIp: "127.0.0.1", token: undefined };

export async function startFakeNacosGrpc(
  hosts: () => readonly unknown[] = () => [],
  credentials = ServerCredentials.createInsecure(),
  port = 0,
): Promise<FakeNacosGrpc> {
  const asked: { type: string; body: Fields; bytes: Buffer }[] = [];
  const scripted = new Map<string, Fields | undefined>();
  const streams = new Set<ServerDuplexStream<Buffer, Buffer>>();
  let setUps = 0;
  let lastWord: string | undefined;

  function answerTo(type: string, body: Fields): readonly [string, Fields] | undefined {
    if (scripted.has(type)) {
      const script = scripted.get(type);
      return script && [type.replace(/Request$/, "Response"), script];
    }
    const ok = { resultCode: 200, errorCode: 0, success: true };
    if (type === "ServerCheckRequest")
      return ["ServerCheckResponse", { ...ok, connectionId: "1", supportAbilityNegotiation: true }];
    if (streams.size === 0)
      return ["ErrorResponse", { resultCode: 500, errorCode: 301, message: "Connection is unregistered." }];
    if (type !== "SubscribeServiceRequest") return [type.replace(/Request$/, "Response"), ok];
    const about = { name: body["serviceName"], groupName: body["groupName"], clusters: "" };
    return ["SubscribeServiceResponse", { ...ok, serviceInfo: { ...about, hosts: hosts() } }];
  }

  const request: handleUnaryCall<Buffer, Buffer> = ({ request: bytes }, callback) => {
    const { type, body } = decodePayload(bytes);
    asked.push({ type, body, bytes });
    const answer = answerTo(type, body);
    const isLast = type === lastWord && streams.size > 0;
    if (answer) callback(null, encodePayload({ type: answer[0], body: answer[1] }, ENVELOPE));
    if (!isLast) return;
    lastWord = undefined;
    cut();
  };
  const requestBiStream: handleBidiStreamingCall<Buffer, Buffer> = (stream) => {
    stream.on("data", (bytes: Buffer) => {
      const { type, body } = decodePayload(bytes);
      asked.push({ type, body, bytes });
      if (type !== "ConnectionSetupRequest") return;
      setUps++;
      streams.add(stream);
      stream.write(encodePayload({ type: "SetupAckRequest", body: { abilityTable: {} } }, ENVELOPE));
    });
    stream.on("error", () => streams.delete(stream));
    for (const end of ["end", "cancelled"]) stream.on(end, () => void (streams.delete(stream) && stream.end()));
  };

  const cut = (): void => {
    for (const stream of streams) stream.emit("error", { code: status.UNAVAILABLE, details: "cut" });
  };

  const server: GrpcServer = new Server();
  server.addService({ request: methodAt("/Request/request", false) }, { request });
  server.addService({ requestBiStream: methodAt("/BiRequestStream/requestBiStream", true) }, { requestBiStream });
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, each) => (error ? reject(error) : resolve(each)));
  });
  const sendBytes = (bytes: Buffer): void => streams.forEach((stream) => void stream.write(bytes));

  return {
    port: bound,
    asked,
    get setUps() {
      return setUps;
    },
    answer: (type, body) => void scripted.set(type, body),
    send: (type, body) => sendBytes(encodePayload({ type, body }, ENVELOPE)),
    sendBytes,
    cut,
    cutAfter: (type) => {
      lastWord = type;
    },
    close: () => server.forceShutdown(),
  };
}

function methodAt(path: string, isStream: boolean) {
  const asIs = (bytes: Buffer): Buffer => bytes;
  const codec = {
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  return { path, requestStream: isStream, responseStream: isStream, ...codec };
}
