import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { PassThrough, Readable } from "node:stream";
import { describe, it } from "vitest";
import type { Endpoint } from "../../src/endpoint/endpoint.js";
import { type BalancerName, createResolver, defineInstance } from "../../src/index.js";
import type { RegistryUpdate } from "../../src/model/update.js";
import { Xorshift32 } from "../../src/runtime/random.js";
import { scriptedRegistry } from "../fakes/scripted-registry.js";
import { opened } from "../opened.js";

const CALLS = 400;
const CALLERS = 16;
const METHODS = ["GET", "GET", "HEAD", "DELETE", "POST", "PUT"] as const;
const BALANCERS: readonly BalancerName[] = ["round-robin", "random", "least-requests", "adaptive", "latency-weighted"];

/** What a server may do once it has read as much of a request as it cares to. */
const DEEDS: readonly ((socket: Socket) => void)[] = [
  ...Array(5).fill((socket: Socket) => void socket.write(answer("200 OK"))),
  (socket) => void socket.write(answer("500 Broken")),
  (socket) => void socket.write(answer("503 Busy")),
  (socket) => void socket.write(answer("429 Busy")),
  (socket) => void socket.write(`HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${answer("200 OK")}`),
  (socket) => void socket.write("HTTP/1.1 204 No Content\r\n\r\n"),
  (socket) => void socket.write("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n"),
  (socket) =>
    void socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-late: b\r\n\r\n"),
  (socket) => void socket.write(answer("200 OK") + answer("200 OK")),
  (socket) => void socket.write("\0no HTTP\r\n\r\n"),
  (socket) => void socket.write(`HTTP/1.1 200 OK\r\nx-large: ${"a".repeat(20_000)}\r\n\r\n`),
  (socket) => void socket.end(answer("200 OK")),
  (socket) => void socket.end(),
  (socket) => void socket.resetAndDestroy(),
  (socket) => void setTimeout(() => socket.write(answer("200 OK")), 40),
  (socket) => later(socket, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"),
  (socket) => later(socket, "HTTP/1.1 503 Busy\r\ncontent-length: 100\r\n\r\nhalf"),
  (socket) => later(socket, ""),
];

describe("calls to instances that do what they like", () => {
  for (const seed of [1, 2]) {
    it(`end once each and leave nothing in flight, however they are made (seed ${seed})`, async () => {
      const random = new Xorshift32(seed);
      const { orders, told, retell } = await start(random);
      const met = new Set<Endpoint>();
      let [left, ended] = [CALLS, 0];
      const caller = async (): Promise<void> => {
        while (left-- > 0) {
          for (const endpoint of orders.endpoints) met.add(endpoint);
          if (left % 30 === 0) retell();
          if (left % 70 === 0) orders.setBalancer(BALANCERS[random.below(BALANCERS.length)] as BalancerName);
          const { signal, body, method } = request(random);
          const call = orders.request("/", { method, signal, body } as Parameters<typeof orders.request>[1]);
          await call.then((response) => response.body.dump({ limit: 1_000 })).catch(() => {});
          ended++;
        }
      };
      await Promise.all(Array.from({ length: CALLERS }, caller));
      assert.equal(ended, CALLS);
      const shared = orders.endpoints[0]?.load.shared;
      while (shared?.inFlight !== 0) await new Promise((resolve) => setImmediate(resolve)); // answers that are dropped
      for (const { load } of orders.endpoints) assert.deepEqual([load.inFlight, load.waiting], [0, 0]);
      assert.ok(met.size > told.ports && orders.ground.pools.size <= orders.endpoints.length, "who left is let go of");
    });
  }
});

function request(random: Xorshift32) {
  const method = METHODS[random.below(METHODS.length)] as (typeof METHODS)[number];
  const halt = new AbortController();
  if (random.below(6) === 0) setTimeout(() => halt.abort(new Error("enough")), random.below(100));
  return { method, signal: halt.signal, body: method === "POST" || method === "PUT" ? bodyOf(random) : undefined };
}

function bodyOf(random: Xorshift32): unknown {
  const kind = random.below(5);
  if (kind === 0) return "text";
  if (kind === 1) return Buffer.alloc(200_000);
  if (kind === 2) return Readable.from(["a", "b"]);
  const slow = new PassThrough().on("error", () => {});
  slow.write("a");
  setTimeout(() => (kind === 3 ? slow.end() : slow.destroy(new Error("the source is gone"))), random.below(30));
  return slow;
}

/** Four servers, which come and go and are restarted in what `retell` tells. */
async function start(random: Xorshift32) {
  const servers = await Promise.all(Array.from({ length: 4 }, () => serving(random)));
  const scripted = scriptedRegistry();
  const told = { revision: 0, ports: servers.length };
  const list = (): RegistryUpdate => ({
    type: "reset",
    instances: servers
      .filter((_, index) => index === 0 || random.below(4) > 0)
      .map((port) => defineInstance({ service: "orders", host: "127.0.0.1", port, incarnation: random.below(3) })),
    position: `e:${++told.revision}`,
    epoch: "e",
  });
  scripted.list = async () => list();
  const resolver = createResolver({
    registry: scripted.registry,
    massLoss: false,
    connections: 3,
    tryTimeoutMs: 50,
    timeoutMs: 400,
    hedge: { afterMs: 15 },
    ejection: { baseMs: 30, maxMs: 100, refusedBaseMs: 20, refusedMaxMs: 60 },
  });
  opened.push(resolver);
  const orders = resolver.service("orders");
  await orders.ready();
  return { orders, told, retell: () => scripted.push(list()) };
}

async function serving(random: Xorshift32): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", () => DEEDS[random.below(DEEDS.length)]?.(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.push({
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
  return (server.address() as AddressInfo).port;
}

function answer(status: string): string {
  return `HTTP/1.1 ${status}\r\ncontent-length: 2\r\n\r\nok`;
}

/** Begins, and ends without a word some time after. */
function later(socket: Socket, bytes: string): void {
  socket.write(bytes);
  setTimeout(() => socket.destroy(), 80);
}
