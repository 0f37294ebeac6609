import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, describe, it } from "vitest";
import { sendJson } from "../../src/server/send.js";

const ANSWER = { status: 201, body: { name: "Zoë" } };
const JSON_TEXT = '{"name":"Zoë"}';
const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

describe("sendJson", () => {
  it("hands the socket one piece, headers and all", async () => {
    const pieces: unknown[] = [];
    const { ask } = await start((request, response) => {
      const { socket } = request;
      const write = socket.write.bind(socket) as (piece: string, ...more: never[]) => boolean;
      socket.write = (piece: string, ...more: never[]) => {
        pieces.push(piece);
        return write(piece, ...more);
      };
      sendJson(response, ANSWER);
    });
    assert.ok((await ask("GET")).endsWith(JSON_TEXT));
    assert.equal(pieces.length, 1);
  });

  it("answers in turn where a client did not wait for the first answer", async () => {
    const waiting: (() => void)[] = [];
    const { ask } = await start((request, response) => {
      const { url } = request;
      waiting.unshift(() => sendJson(response, { status: 200, body: { url } }));
      if (waiting.length === 2) for (const send of waiting) send(); // the second one first
    });
    const told = await ask("GET", "GET");
    assert.deepEqual(told.match(/\{.*?\}/g), ['{"url":"/0"}', '{"url":"/1"}']);
  });

  it("sends a HEAD the length and no body", async () => {
    const { ask } = await start((_, response) => sendJson(response, ANSWER));
    const told = await ask("HEAD");
    assert.match(told, /\r\ncontent-length: 15\r\n/);
    assert.ok(told.endsWith("\r\n\r\n"));
  });

  it("names its headers to a middleware that has put itself before them", async () => {
    const { ask } = await start((_, response) => {
      const writeHead = response.writeHead.bind(response);
      response.writeHead = (status: number, headers: unknown) => {
        for (const [name, value] of Object.entries(headers as Record<string, string>)) response.setHeader(name, value);
        return writeHead(status);
      };
      sendJson(response, ANSWER);
    });
    assert.match(
      await ask("GET"),
      /^HTTP\/1.1 201 Created\r\ncontent-type: application\/json\r\ncontent-length: 15\r\n/,
    );
  });

  it("leaves a client alone that has gone", async () => {
    const failed: unknown[] = [];
    const { ask } = await start((request, response) => {
      response.on("error", (error) => failed.push(error));
      request.socket.destroy();
      response.once("close", () => sendJson(response, ANSWER));
    });
    assert.equal(await ask("GET"), "");
    assert.deepEqual(failed, []);
  });
});

/** A server, and what a client hears from it until the connection ends; the last request asks for that end. */
async function start(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.push(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const ask = async (...methods: string[]): Promise<string> => {
    const socket = connect(port, "127.0.0.1");
    const close = (index: number): string => (index === methods.length - 1 ? "Connection: close\r\n" : "");
    socket.write(
      methods.map((method, index) => `${method} /${index} HTTP/1.1\r\nHost: a\r\n${close(index)}\r\n`).join(""),
    );
    let told = "";
    for await (const piece of socket) told += String(piece);
    return told;
  };
  return { ask };
}
