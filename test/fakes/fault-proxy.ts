import { type IncomingMessage, request, type ServerResponse } from "node:http";
import { type Backend, startBackend } from "./backend.js";

/**
 * What the proxy does to answers: nothing, half of them, none at all, or one of its own; `refuse`: nobody listens there.
 */
export type Fault = "none" | "truncate" | "silence" | "refuse" | { readonly status: number; readonly text: string };

/** Stands between an adapter and a real server over HTTP, counts what goes by, and breaks what it is told to. */
export interface FaultProxy {
  readonly url: string;
  /** Where the real server is; it may move. */
  target: string;
  /** Method and path of every request, in order. */
  readonly requests: string[];
  /** From now on, for requests under way as well; returns what ends it. */
  begin(fault: Fault): () => void;
  /** Ends every connection, as a restart would. */
  cut(): void;
  close(): Promise<void>;
}

export async function startFaultProxy(target: string): Promise<FaultProxy> {
  let fault: Fault = "none";
  const backend: Backend = await startBackend((incoming, outgoing) => {
    if (typeof fault === "object") {
      outgoing.writeHead(fault.status, { "content-type": "text/plain" });
      outgoing.end(fault.text);
    } else if (fault !== "silence") {
      forward(proxy.target, incoming, outgoing, () => fault);
    }
  });
  const proxy: FaultProxy = {
    url: `http://127.0.0.1:${backend.port}`,
    target,
    requests: backend.requests,
    begin: (given) => {
      fault = given;
      if (given === "refuse") void backend.close();
      return () => {
        fault = "none";
        if (given === "refuse") backend.server.listen(backend.port, "127.0.0.1");
      };
    },
    cut: () => backend.server.closeAllConnections(),
    close: () => backend.close(),
  };
  return proxy;
}

function forward(target: string, incoming: IncomingMessage, outgoing: ServerResponse, fault: () => Fault): void {
  const { method, headers, url } = incoming;
  const onward = request(`${target}${url}`, { method, headers, agent: false }, (answer) => {
    const { "content-length": _, "transfer-encoding": __, ...rest } = answer.headers;
    answer.on("error", () => outgoing.destroy());
    answer.on("data", (chunk: Buffer) => {
      if (fault() === "silence" || outgoing.writableEnded) return;
      if (!outgoing.headersSent) outgoing.writeHead(answer.statusCode ?? 502, rest);
      if (fault() === "truncate") outgoing.end(chunk.subarray(0, chunk.length / 2));
      else outgoing.write(chunk);
    });
    answer.on("end", () => {
      if (fault() === "silence" || outgoing.writableEnded) return;
      if (!outgoing.headersSent) outgoing.writeHead(answer.statusCode ?? 502, rest);
      outgoing.end();
    });
  });
  onward.on("error", () => outgoing.destroy());
  outgoing.on("close", () => onward.destroy());
  incoming.pipe(onward);
}
