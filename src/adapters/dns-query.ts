import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import { DiscoveryError } from "../model/errors.js";
import { hostPort } from "../model/instance.js";
import type { Clock } from "../runtime/clock.js";
import { within } from "../runtime/deadline.js";
import { type DnsAnswer, decodeAnswer, encodeQuestion } from "./dns-message.js";

/** A datagram is answered within this, in milliseconds, or the question goes over TCP: large answers may not get through. */
const UDP_WITHIN_MS = 800;
const IDS = 2 ** 16;

/** Which server is asked, and how. */
export interface DnsServer {
  readonly host: string;
  readonly port: number;
  /** Ask over TCP only. */
  readonly tcp: boolean;
}

/**
 * Asks one server one question: by a datagram, and over TCP where the answer does not fit or come.
 *
 * @throws {DiscoveryError} `UNAVAILABLE`, `PROTOCOL`
 */
export async function ask(
  server: DnsServer,
  name: string,
  type: number,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<DnsAnswer> {
  const id = randomInt(IDS);
  const question = encodeQuestion(id, name, type);
  const what = `question for ${name}`;
  if (!server.tcp) {
    const udp = within(what, UDP_WITHIN_MS, { clock, signal }, (inner) => overUdp(server, id, question, inner));
    const answer = await udp.catch((error: unknown) => {
      signal.throwIfAborted();
      if (!DiscoveryError.is(error, "TIMEOUT")) throw failure(server, what, error);
    });
    if (answer && !answer.truncated) return answer;
  }
  try {
    return await overTcp(server, id, question, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw failure(server, what, error);
  }
}

/** A connected socket takes datagrams from its server alone; of those, only the one with our number is the answer. */
function overUdp({ host, port }: DnsServer, id: number, question: Buffer, signal: AbortSignal): Promise<DnsAnswer> {
  const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
  socket.unref();
  const answered = new Promise<DnsAnswer>((resolve, reject) => {
    socket.on("error", reject);
    socket.on("message", (message) => {
      if (message.length < 12 || message.readUInt16BE(0) !== id) return;
      try {
        resolve(decodeAnswer(message));
      } catch (error) {
        reject(error);
      }
    });
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    socket.connect(port, host, (error?: Error) => {
      if (error) reject(error);
      else socket.send(question, (failed) => failed && reject(failed));
    });
  });
  return answered.finally(() => socket.close());
}

function overTcp({ host, port }: DnsServer, id: number, question: Buffer, signal: AbortSignal): Promise<DnsAnswer> {
  const socket = connect({ host, port });
  socket.unref();
  const answered = new Promise<DnsAnswer>((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(question.length);
    socket.on("error", reject);
    socket.on("close", () => reject(new DiscoveryError("UNAVAILABLE", "The connection was closed")));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      try {
        const answer = decodeAnswer(received.subarray(2, 2 + received.readUInt16BE(0)));
        if (answer.id !== id) throw new DiscoveryError("PROTOCOL", "The answer to another question");
        resolve(answer);
      } catch (error) {
        reject(error);
      }
    });
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    socket.write(Buffer.concat([length, question]));
  });
  return answered.finally(() => socket.destroy());
}

function failure({ host, port }: DnsServer, what: string, cause: unknown): DiscoveryError {
  const code = DiscoveryError.is(cause, "PROTOCOL") ? "PROTOCOL" : "UNAVAILABLE";
  const why = cause instanceof Error ? cause.message.replace(/ \(\w+\)$/, "") : String(cause);
  return new DiscoveryError(code, `DNS ${hostPort(host, port)} did not answer the ${what}: ${why}`, { cause });
}
