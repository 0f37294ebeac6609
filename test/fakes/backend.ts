import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A real HTTP server on loopback that counts what reaches it. */
export interface Backend {
  readonly port: number;
  readonly server: Server;
  /** Method and path of every request, in order. */
  readonly requests: string[];
  close(): Promise<void>;
}

type Answer = (request: IncomingMessage, response: ServerResponse, backend: Backend) => void;

/** Starts one; without `answer` it says "ok" and who it is. */
export function startBackend(answer: Answer = plainly, port = 0): Promise<Backend> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    answer(request, response, backend);
  });
  const close = (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    return closed;
  };
  const backend: Backend = { port, server, requests, close };
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      Object.assign(backend, { port: (server.address() as AddressInfo).port });
      resolve(backend);
    });
  });
}

function plainly(_request: IncomingMessage, response: ServerResponse, { port }: Backend): void {
  response.end(String(port));
}

/** A port that was free a moment ago, and on which nobody listens. */
export async function deadPort(): Promise<number> {
  const backend = await startBackend();
  await backend.close();
  return backend.port;
}
