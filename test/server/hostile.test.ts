import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { afterEach, describe, it } from "vitest";
import { etcd } from "../../src/adapters/etcd.js";
import { createRegistryServer, type RegistryServerOptions } from "../../src/server/index.js";

const HEAD = "POST /v1/register HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe("a registry under hostile clients", () => {
  it("lets go of clients that drip their headers or their body, and serves the others meanwhile", async () => {
    const { url, size } = await start();
    const dripping = drip(await open(url), "GET /v1/status HTTP/1.1\r\nhost: localhost\r\nx: ");
    const halfway = drip(await open(url), `${HEAD}content-length: 100000\r\n\r\n{"a":"`);
    const silent = answerOn(await open(url)); // not a byte: has the same time as one that drips
    assert.match(
      await exchange(url, "GET /v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"),
      / 200 /,
    );
    for (const answer of [await dripping, await halfway, await silent]) assert.match(answer, /^(HTTP\/1\.1 408 |$)/);
    assert.equal(size(), 0);
  });

  it("keeps nothing of a registration whose client hung up halfway", async () => {
    const { url, size } = await start();
    const socket = await open(url);
    socket.write(`${HEAD}content-length: 1000\r\n\r\n{"service_name":"orders","host":"a","port":1}`);
    await new Promise<void>((resolve) => socket.end(resolve));
    assert.match(
      await exchange(url, "GET /v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"),
      / 200 /,
    );
    assert.equal(size(), 0);
  });

  it("refuses requests that two servers would read differently", async () => {
    const { url, size } = await start();
    const body = '{"service_name":"orders","host":"a","port":1}';
    const smuggled = [
      `${HEAD}content-length: ${body.length}\r\ntransfer-encoding: chunked\r\n\r\n${body}`,
      `${HEAD}content-length: 1\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      `${HEAD}transfer-encoding: x, chunked, identity\r\n\r\n${body}`,
      `${HEAD}content-length: +${body.length}\r\n\r\n${body}`,
      `${HEAD}content-length : ${body.length}\r\n\r\n${body}`,
      `${HEAD}x\u0000y: 1\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      `POST /v1/register HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    ];
    for (const text of smuggled) assert.match(await exchange(url, text), /^HTTP\/1\.1 400 /, text);
    assert.match(await exchange(url, `${HEAD}x: ${"y".repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
    assert.equal(size(), 0);
  });

  it("answers what is too large before all of it has come, and drops the rest", async () => {
    const { url, size } = await start();
    const text = `{"a":"${"x".repeat(400_000)}"}`;
    const chunked = `${HEAD}transfer-encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
    assert.match(await exchange(url, chunked), /^HTTP\/1\.1 413 /);
    const socket = await open(url);
    socket.write(`${HEAD}content-length: 9000000000\r\n\r\n${text}`);
    assert.match(await answerOn(socket), /^HTTP\/1\.1 413 /);
    assert.equal(size(), 0);
  });

  it("says little of a long wrong key", async () => {
    const { url } = await start();
    const body = JSON.stringify({
      service_name: "a",
      host: "a",
      port: 1,
      metadata: { [`${"k".repeat(200_000)}$&`]: "x" },
    });
    const answer = await exchange(url, `${HEAD}connection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    assert.match(answer, /^HTTP\/1\.1 422 /);
    assert.ok(answer.length < 2_500, String(answer.length));
  });

  it("never answers 5xx and never changes anything, whatever fields come in whatever form", async () => {
    const { post, size } = await start();
    const odd = [
      null,
      true,
      0,
      -1,
      1.5,
      1e308,
      "",
      "x",
      "\u0000",
      "\ud800",
      "a".repeat(2_000),
      [],
      [[]],
      [null],
      {},
      { a: {} },
    ];
    const fields = [
      "service_name",
      "host",
      "port",
      "id",
      "node_id",
      "ttl",
      "weight",
      "tags",
      "metadata",
      "protocol",
      "status",
    ];
    const base = { service_name: "orders", host: "10.0.0.1", port: 1, ttl: 30 };
    for (const field of fields) {
      for (const value of odd) {
        const before = size();
        const status = await post("/v1/register", { ...base, [field]: value });
        assert.ok(status === 200 || status === 201 || status === 422, `${field}: ${JSON.stringify(value)}: ${status}`);
        if (status === 422) assert.equal(size(), before);
      }
    }
    for (const path of ["heartbeat", "update", "deregister", "watch/ack"]) {
      for (const value of odd) {
        for (const body of [
          { lease_id: value },
          { leases: value },
          { leases: [value] },
          { lease_id: "a", status: value },
          { lease_id: "a", wait_ms: value },
          { watch_id: value, revision: 1, service_name: value },
        ]) {
          const status = await post(`/v1/${path}`, body);
          assert.ok(status < 500, `${path} ${JSON.stringify(body)}: ${status}`);
        }
      }
    }
  });

  it("outlives a bad beat in a batch whose good one waits for a store that is away", async () => {
    const { url, post } = await start({ registry: etcd({ endpoints: "http://127.0.0.1:1" }) });
    const leases = [{ lease_id: "a.b" }, { lease_id: "a.b", status: "odd" }];
    assert.equal(await post("/v1/heartbeat", { leases }), 422); // a promise left behind would end the process
    assert.match(
      await exchange(url, "GET /v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"),
      /^HTTP/,
    );
  });
});

async function start(options: RegistryServerOptions = {}) {
  const server = createRegistryServer({ port: 0, warmingMs: 0, ...options });
  opened.push(server);
  const url = await server.listen();
  const size = (): number => (server.registry as unknown as { size: number }).size;
  const post = async (path: string, body: unknown): Promise<number> => {
    const headers = { "content-type": "application/json" };
    return (await fetch(`${url}${path}`, { method: "POST", headers, body: JSON.stringify(body) })).status;
  };
  return { url, size, post };
}

function open(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => resolve(socket));
    socket.on("error", reject);
  });
}

/** What comes back until the other side hangs up, or the answer's head is there. */
function answerOn(socket: Socket): Promise<string> {
  let answer = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    answer += chunk;
    if (/\r\n\r\n./.test(answer)) socket.destroy();
  });
  return new Promise((resolve) => socket.once("close", () => resolve(answer)));
}

async function exchange(url: string, text: string): Promise<string> {
  const socket = await open(url);
  socket.write(text);
  return answerOn(socket);
}

/** Sends the beginning, then a character now and then, so that no idle timeout strikes. */
async function drip(socket: Socket, beginning: string): Promise<string> {
  socket.write(beginning);
  const dripping = setInterval(() => socket.write("x"), 500);
  try {
    return await answerOn(socket);
  } finally {
    clearInterval(dripping);
  }
}
