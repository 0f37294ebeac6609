import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, describe, it } from "vitest";
import { dns } from "../../src/adapters/dns.js";
import { decodeAnswer, encodeQuestion, TYPES } from "../../src/adapters/dns-message.js";
import { DiscoveryError } from "../../src/model/errors.js";
import { isRegistrar, type Registrar } from "../../src/registry/registry.js";
import { systemClock } from "../../src/runtime/clock.js";

const { signal } = new AbortController();
const closing: (() => unknown)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

describe("decodeAnswer", () => {
  it("takes nothing that is no message for one, and ends", () => {
    const good = answerTo(encodeQuestion(7, "orders.test", TYPES.A), "127.0.0.1");
    assert.equal(decodeAnswer(good).answers[0]?.address, "127.0.0.1");
    for (let length = 0; length < good.length; length++) {
      assert.throws(() => decodeAnswer(good.subarray(0, length)), isProtocol, `${length} bytes`);
    }
    const loop = Buffer.from(good);
    loop.writeUInt16BE(0xc000 + 12, 12); // a name that points to itself
    assert.throws(() => decodeAnswer(loop), isProtocol);
  });
});

describe("encodeQuestion", () => {
  it("offers to take answers of 4,096 bytes", () => {
    const question = encodeQuestion(1, "orders.test", TYPES.SRV);
    assert.equal(question.readUInt16BE(10), 1); // one additional record
    const offer = question.subarray(-11);
    assert.deepEqual([offer[0], offer.readUInt16BE(1), offer.readUInt16BE(3)], [0, TYPES.OPT, 4_096]);
  });

  it("refuses a name that DNS cannot carry", () => {
    for (const name of ["a..b", `${"x".repeat(64)}.test`, `${"abc.".repeat(80)}test`]) {
      assert.throws(() => encodeQuestion(1, name, TYPES.A), /is no name that DNS can ask for/);
    }
  });
});

describe("dns", () => {
  it("takes no registrations, by its type as well", () => {
    const takes: ReturnType<typeof dns> extends Registrar ? true : false = false;
    assert.equal(isRegistrar(registryAt(1)), takes);
  });

  it("believes only the answer that has the number of its question", async () => {
    const port = await overUdp((question, send) => {
      const forged = answerTo(question, "6.6.6.6");
      forged.writeUInt16BE(question.readUInt16BE(0) ^ 1, 0);
      send(forged);
      send(answerTo(question, "127.0.0.1"));
    });
    assert.deepEqual(await hosts(port), ["127.0.0.1"]);
  });

  it("goes over TCP where a datagram is cut short or does not come", async () => {
    for (const how of ["truncated", "silent"]) {
      const port = await overTcp(); // first: of the two, its ports are those that others take
      await overUdp((question, send) => {
        const empty = answerTo(question, undefined);
        empty.writeUInt16BE(0x8380, 2); // truncated
        if (how === "truncated") send(empty);
      }, port);
      assert.deepEqual(await hosts(port), ["127.0.0.2"], how);
    }
  });

  it("says which server did not answer, and ends with its signal", async () => {
    const port = await overUdp(() => {});
    await assert.rejects(
      hosts(port),
      (error) => DiscoveryError.is(error, "UNAVAILABLE") && /DNS 127/.test(error.message),
    );
    const cut = new AbortController();
    const list = registryAt(port).list("orders", { signal: cut.signal });
    cut.abort(new Error("enough"));
    await assert.rejects(list, /enough/);
  });
});

function isProtocol(error: unknown): boolean {
  return DiscoveryError.is(error, "PROTOCOL");
}

/** The question, with an A record that points back at its name. */
function answerTo(question: Buffer, address: string | undefined): Buffer {
  const end = question.indexOf(0, 12) + 5;
  const message = Buffer.from(question.subarray(0, end));
  const isAddress = message.readUInt16BE(end - 4) === TYPES.A && address !== undefined;
  message.writeUInt16BE(0x8180, 2);
  message.writeUInt16BE(isAddress ? 1 : 0, 6);
  message.writeUInt16BE(0, 10);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, ...(address ?? "").split(".").map(Number)]);
  return isAddress ? Buffer.concat([message, record]) : message;
}

async function overUdp(answer: (question: Buffer, send: (message: Buffer) => void) => void, at = 0): Promise<number> {
  const socket = createSocket("udp4");
  closing.push(() => socket.close());
  socket.on("message", (question, { port, address }) =>
    answer(question, (message) => socket.send(message, port, address)),
  );
  socket.bind(at, "127.0.0.1");
  await once(socket, "listening");
  return socket.address().port;
}

async function overTcp(): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      const answer = answerTo(chunk.subarray(2), "127.0.0.2");
      const length = Buffer.from([answer.length >> 8, answer.length & 0xff]);
      for (const part of [length.subarray(0, 1), length.subarray(1), answer]) socket.write(part);
    });
  });
  closing.push(() => server.close());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

function registryAt(port: number) {
  return dns({ server: `127.0.0.1:${port}`, domain: "test", type: "a", port: 80, clock: systemClock });
}

async function hosts(port: number): Promise<readonly string[]> {
  const update = await registryAt(port).list("orders", { signal });
  return update.type === "reset" ? update.instances.map(({ host }) => host) : [];
}
