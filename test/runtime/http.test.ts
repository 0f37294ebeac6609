import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { createServer as createTcpServer, type Server } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, describe, it } from "vitest";
import { consul } from "../../src/adapters/consul.js";
import { etcd } from "../../src/adapters/etcd.js";
import { eureka } from "../../src/adapters/eureka.js";
import { http } from "../../src/adapters/http.js";
import { DiscoveryError, type ErrorCode } from "../../src/model/errors.js";
import { httpClient } from "../../src/runtime/http.js";
import { startBackend } from "../fakes/backend.js";

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});
const { signal } = new AbortController();
const GET = { method: "GET", path: "/", signal } as const;

describe("httpClient", () => {
  it("reads JSON that begins with a byte order mark, also in a refusal and in a stream", async () => {
    const marked = (text: string) => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(text)]);
    const client = await speaking((request, response) => {
      if (request.url === "/no") response.writeHead(404).end(marked('{"detail":"none such"}'));
      else response.end(marked(request.url === "/lines" ? '{"line":1}\n{"line":2}\n' : '{"a":1}'));
    });
    assert.deepEqual((await client.request(GET)).body, { a: 1 });
    await assert.rejects(client.request({ ...GET, path: "/no" }), /none such/);
    const lines: unknown[] = [];
    for await (const line of client.lines({ ...GET, path: "/lines" })) lines.push(line);
    assert.deepEqual(lines, [{ line: 1 }, { line: 2 }]);
  });

  it("reads a stream whose characters lie across its chunks", async () => {
    const bytes = Buffer.from('{"zone":"zürich"}\n');
    const within = bytes.indexOf(0xc3) + 1; // behind the first of two bytes that make one letter
    let go = (): void => {};
    const client = await speaking(({ url }, response) => {
      if (url === "/go") go();
      if (url !== "/lines") return void response.end();
      response.write(bytes.subarray(0, within));
      go = () => void response.end(bytes.subarray(within));
    });
    const line = client.lines({ ...GET, path: "/lines" }).next();
    for (let turn = 0; turn < 3; turn++) await client.request(GET); // meanwhile the first part is read
    await client.request({ ...GET, path: "/go" });
    assert.deepEqual((await line).value, { zone: "zürich" });
  });

  it("says what it is that it cannot read where a proxy compressed the answer unasked", async () => {
    const asked: (string | undefined)[] = [];
    const client = await speaking(({ headers, url }, response) => {
      asked.push(headers["accept-encoding"]?.toString());
      response.writeHead(url === "/no" ? 403 : 200, { "content-encoding": "gzip" }).end(gzipSync('{"a":1}'));
    });
    await assert.rejects(client.request(GET), is("PROTOCOL", /content-encoding gzip/));
    await assert.rejects(client.lines(GET).next(), is("PROTOCOL", /content-encoding gzip/));
    await assert.rejects(client.request({ ...GET, path: "/no" }), is("UNAUTHORIZED", /with 403 \(/));
    assert.deepEqual(asked, Array(3).fill("identity"));
  });

  it("takes an answer without a body for one, also where it tells how long that would have been", async () => {
    const origin = await rawly("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n");
    const client = httpClient({ name: "registry", origin });
    opened.push(client);
    for (let times = 0; times < 2; times++) {
      const { status, body } = await client.request({ ...GET, accept: [304] });
      assert.deepEqual([status, body], [304, undefined]);
    }
  });

  it("rejects what cannot be sent, and keeps no listener on the caller's signal", async () => {
    const client = await speaking((_request, response) => void response.end("{}"));
    const halt = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = halt.signal;
    halt.signal.addEventListener = (...given: Parameters<typeof addEventListener>) => {
      listeners++;
      addEventListener.apply(halt.signal, given);
    };
    halt.signal.removeEventListener = (...given: Parameters<typeof removeEventListener>) => {
      listeners--;
      removeEventListener.apply(halt.signal, given);
    };
    await assert.rejects(client.request({ ...GET, path: "/a b", signal: halt.signal }));
    await assert.rejects(client.request({ ...GET, headers: { "x-a": "b\nc" }, signal: halt.signal }));
    await client.close();
    await assert.rejects(client.request({ ...GET, signal: halt.signal }));
    assert.equal(listeners, 0);
  });

  it("keeps the socket when a request's turn comes after its caller has gone", async () => {
    const held: (() => void)[] = [];
    let sockets = 0;
    const backend = await startBackend((_request, response) => void held.push(() => response.end("{}")));
    backend.server.on("connection", () => sockets++);
    const client = httpClient({ name: "registry", origin: `http://127.0.0.1:${backend.port}`, connections: 1 });
    opened.push(backend, client);
    const first = client.request(GET);
    const halt = new AbortController();
    const second = client.request({ ...GET, signal: halt.signal });
    while (held.length === 0) await new Promise((resolve) => setImmediate(resolve));
    halt.abort(new Error("enough"));
    await assert.rejects(second, /enough/);
    held[0]?.();
    await first;
    const third = client.request(GET);
    while (held.length < 2) await new Promise((resolve) => setImmediate(resolve));
    held[1]?.();
    await third;
    assert.deepEqual([sockets, backend.requests.length], [1, 2]);
  });
});

describe("a token", () => {
  it("that no header can carry is found when it is given, by its option's name, and is not told", () => {
    const token = "s3cret\n";
    const made = {
      "http.token": () => http({ url: "http://127.0.0.1:1", token }),
      "etcd.token": () => etcd({ token }),
    };
    const others = { "consul.token": () => consul({ token }), "eureka.token": () => eureka({ token }) };
    for (const [field, make] of Object.entries({ ...made, ...others })) {
      assert.throws(make, (error) => DiscoveryError.is(error, "INVALID_OPTION") && error.field === field);
      assert.throws(make, (error) => /U\+000A at 6 of 7/.test(String(error)) && !/s3cret/.test(String(error)));
    }
    assert.throws(() => http({ url: "http://127.0.0.1:1", token: "🔑" }), /U\+1F511 at 0/);
  });
});

async function speaking(answer: NonNullable<Parameters<typeof startBackend>[0]>) {
  const backend = await startBackend(answer);
  const client = httpClient({ name: "registry", origin: `http://127.0.0.1:${backend.port}` });
  opened.push(backend, client);
  return client;
}

/** Answers whatever comes with the same bytes. */
async function rawly(bytes: string): Promise<string> {
  const server: Server = createTcpServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", () => socket.write(bytes));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.push({ close: async () => void server.close() });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function is(code: ErrorCode, message: RegExp): (error: unknown) => boolean {
  return (error) => DiscoveryError.is(error, code) && message.test(error.message);
}
