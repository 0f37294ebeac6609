import assert from "node:assert/strict";
import { connect } from "node:net";
import { request } from "undici";
import { afterEach, describe, it } from "vitest";
import { createRegistryServer, type RegistryServerOptions } from "../../src/server/index.js";
import { ManualClock } from "../../src/testing/index.js";

const SPEC_BODY =
  '{"service_name":"user-service","host":"192.168.1.100","port":8080,"metadata":{"version":"v1.2","env":"prod"},"ttl":30}';
const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe("createRegistryServer", () => {
  it("takes the spec's own registration to the letter", async () => {
    const { post, get } = await start();
    const { status, body } = await post("/v1/register", SPEC_BODY);
    assert.equal(status, 201);
    assert.equal(body.id, "user-service@192.168.1.100:8080");
    assert.equal(body.instance_id, body.id);
    assert.equal(body.ttl, 30);
    assert.equal(body.heartbeat_interval, 10);
    assert.match(body.lease_id, /^[\w-]{22}$/);
    const list = await get("/v1/services/user-service/instances");
    assert.deepEqual(list.body.instances[0].metadata, { version: "v1.2", env: "prod" });
    assert.equal((await post("/v1/register", SPEC_BODY)).status, 200);
  });

  it("names the field that is wrong, and changes nothing", async () => {
    const { post, get } = await start();
    const wrong: [object, string][] = [
      [{ host: "a", port: 1 }, "service_name"],
      [{ service_name: "a", port: 1 }, "host"],
      [{ service_name: "a", host: "a" }, "port"],
      [{ service_name: "a/b", host: "a", port: 1 }, "service_name"],
      [{ service_name: "a", host: "a", port: 70_000 }, "port"],
      [{ service_name: "a", host: "a", port: "80" }, "port"],
      [{ service_name: "a", host: "a", port: 1, ttl: 1 }, "ttl"],
      [{ service_name: "a", host: "a", port: 1, weight: -1 }, "weight"],
      [{ service_name: "a", host: "a", port: 1, status: "failed" }, "status"],
      [{ service_name: "a", host: "a", port: 1, metadata: { k: 1 } }, "metadata.k"],
      [{ service_name: "a", host: "a", port: 1, metadata: { k: "\u001b[31m" } }, "metadata.k"],
      [{ service_name: "a", host: "a", port: 1, tags: "blue" }, "tags"],
    ];
    for (const [fields, field] of wrong) {
      const { status, body, type } = await post("/v1/register", JSON.stringify(fields));
      assert.deepEqual([status, body.field, type], [422, field, "application/problem+json"]);
      assert.ok(body.detail.startsWith(field), body.detail);
      assert.ok(body.request_id);
    }
    assert.deepEqual((await get("/v1/services")).body.services, []);
  });

  it("refuses hosts that a URL would read as another", async () => {
    const { post } = await start();
    const tricks = [
      "evil.com/x",
      "evil.com#",
      "a@b",
      "evil.com:80",
      "0x7f000001",
      "127.1",
      "2130706433",
      "0177.0.0.1",
      "１２７.0.0.1",
      "[::1]",
      "fe80::1%eth0",
      "0.0.0.0",
      "::",
      "a b",
      "a\r\nb",
      "-a",
      "a..b",
      "",
    ];
    for (const host of tricks) {
      const { status, body } = await post("/v1/register", JSON.stringify({ service_name: "a", host, port: 1 }));
      assert.deepEqual([host, status, body.field], [host, 422, "host"]);
    }
  });

  it("refuses what is no JSON object, what says a thing twice, and what could poison one", async () => {
    const { post, send } = await start();
    for (const body of [
      "",
      "{",
      "[]",
      "1",
      '{"a":1,"a":2}',
      '{"metadata":{"k":"1","k":"2"}}',
      '{"__proto__":{}}',
      '{"metadata":{"constructor":"x"}}',
    ]) {
      assert.equal((await post("/v1/register", body)).status, 400, body);
    }
    assert.equal((await post("/v1/register", JSON.stringify({ a: "x".repeat(300_000) }))).status, 413);
    assert.equal((await send("POST", "/v1/register", SPEC_BODY, { "content-type": "text/plain" })).status, 415);
    assert.equal((await send("GET", "/v1/register")).status, 405);
    assert.equal((await send("POST", "/v1/services", "{}")).status, 405);
    assert.equal((await send("GET", "/v1/nothing")).status, 404);
    assert.equal((await send("GET", "/v1/services/%zz/instances")).status, 400);
  });

  it("answers 304 for a list that did not change, and never while warming", async () => {
    const { post, send, clock } = await start({ warmingMs: 30_000 });
    await post("/v1/register", SPEC_BODY);
    assert.equal((await send("GET", LIST)).headers["etag"], undefined);
    await clock.advance(30_000);
    await post("/v1/register", SPEC_BODY);
    const etag = String((await send("GET", LIST)).headers["etag"]);
    assert.match(etag, /^"[0-9a-f]{16}:\d+"$/);
    assert.equal((await send("GET", LIST, undefined, { "if-none-match": etag })).status, 304);
    assert.equal((await send("GET", LIST, undefined, { "if-none-match": etag.replace(/"$/, '1"') })).status, 200);
    await post("/v1/register", SPEC_BODY);
    assert.equal((await send("GET", LIST, undefined, { "if-none-match": etag })).status, 200);
  });

  it("tells an unknown name from an empty service, and neither while warming", async () => {
    const { post, get, clock } = await start({ warmingMs: 30_000 });
    assert.deepEqual(pick(await get("/v1/services/orders/instances")), [200, true, []]);
    await clock.advance(30_000);
    const unknown = await get("/v1/services/orders/instances");
    assert.deepEqual([unknown.status, unknown.body.code], [404, "SERVICE_UNKNOWN"]);
    const { body } = await post("/v1/register", SPEC_BODY);
    await post("/v1/deregister", JSON.stringify({ lease_id: body.lease_id }));
    assert.deepEqual(pick(await get(LIST)), [200, false, []]);
  });

  it("filters by status, tag, zone, version and metadata", async () => {
    const { post, get, clock } = await start();
    const base = { service_name: "user-service", host: "10.0.0.1", ttl: 3_600 };
    await post(
      "/v1/register",
      JSON.stringify({ ...base, port: 1, tags: ["blue"], zone: "a", version: "1", metadata: { env: "prod" } }),
    );
    await post(
      "/v1/register",
      JSON.stringify({ ...base, port: 2, tags: ["green"], zone: "b", version: "2", status: "draining" }),
    );
    await post("/v1/register", JSON.stringify({ ...base, port: 3, ttl: 3 }));
    await clock.advance(5_000);
    const ports = async (query: string): Promise<number[]> =>
      (await get(`${LIST}?${query}`)).body.instances.map(({ port }: { port: number }) => port);
    assert.deepEqual(await ports("tag=blue"), [1]);
    assert.deepEqual(await ports("zone=b"), [2]);
    assert.deepEqual(await ports("version=1&meta.env=prod"), [1]);
    assert.deepEqual(await ports("status=draining"), [2]);
    assert.deepEqual(await ports("status=failed"), [3]);
  });

  it("compresses a long list when asked to", async () => {
    const { post, send } = await start();
    for (let port = 1; port <= 30; port++)
      await post("/v1/register", JSON.stringify({ service_name: "user-service", host: "10.0.0.1", port }));
    const plain = await send("GET", LIST);
    for (const encoding of ["gzip", "br"]) {
      const { headers } = await send("GET", LIST, undefined, { "accept-encoding": encoding });
      assert.equal(headers["content-encoding"], encoding);
      assert.ok(Number(headers["content-length"]) < Number(plain.headers["content-length"]) / 4);
      assert.equal((await send("GET", LIST, undefined, { "if-none-match": String(headers["etag"]) })).status, 304);
    }
  });

  it("holds a list back until it changes, or the time is over", async () => {
    const { post, get, clock } = await start();
    await post("/v1/register", SPEC_BODY);
    const { body } = await get(LIST);
    const since = `${body.epoch}:${body.revision}`;
    const held = get(`${LIST}?wait=30&since=${since}`);
    await settle();
    await post("/v1/register", SPEC_BODY.replace("8080", "8081"));
    assert.equal((await held).body.instances.length, 2);
    const before = clock.pending;
    const overdue = get(`${LIST}?wait=10&since=${body.epoch}:2`);
    while (clock.pending === before) await settle();
    await clock.advance(10_000);
    assert.equal((await overdue).body.revision, 2);
  });

  it("streams a watch as lines, and as server-sent events to whoever asks for those", async () => {
    const { post, url } = await start();
    const lines = await watching(`${url}/v1/watch?service=user-service`);
    const events = await watching(`${url}/v1/watch?service=user-service`, { accept: "text/event-stream" });
    assert.equal(JSON.parse(await lines.next()).event, "hello");
    assert.equal(JSON.parse(await lines.next()).event, "absent");
    await post("/v1/register", SPEC_BODY);
    const first = JSON.parse(await lines.next());
    assert.equal((first.instances ?? first.added)[0].port, 8080);
    assert.match(await events.next(), /^data: \{"event":"hello"/);
    lines.end();
    events.end();
  });

  it("asks those between it and a reader not to compress a watch, for they would hold it back", async () => {
    const { url } = await start();
    const halt = new AbortController();
    const { headers } = await fetch(`${url}/v1/watch?service=orders`, { signal: halt.signal });
    halt.abort();
    assert.match(headers.get("cache-control") ?? "", /\bno-transform\b/);
  });

  it("pings a silent stream", async () => {
    const { clock, url } = await start();
    const lines = await watching(`${url}/v1/watch?service=orders`);
    await lines.next();
    await lines.next();
    await clock.advance(15_000);
    assert.equal(JSON.parse(await lines.next()).event, "ping");
    lines.end();
  });

  it("cuts a reader that does not read, and buffers no more than a megabyte for it", async () => {
    const { post, url, server } = await start();
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.pause();
    socket.write("GET /v1/watch?service=user-service HTTP/1.1\r\nhost: localhost\r\n\r\n");
    const cut = new Promise((resolve) => socket.once("close", resolve));
    const metadata = Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`k${index}`, "x".repeat(900)]));
    const body = JSON.stringify({ service_name: "user-service", host: "10.0.0.1", port: 1, metadata });
    socket.on("error", () => {});
    for (let round = 1; round < 8_000; round++) {
      await post("/v1/register", body);
      if (round % 200 === 0 && (await isOver(cut))) break;
    }
    socket.resume();
    await cut;
    assert.equal((await server.registry.services?.({ signal: new AbortController().signal }))?.length, 1);
  });

  it("tells a single unknown lease with 404, and many in one answer", async () => {
    const { post } = await start();
    const single = await post("/v1/heartbeat", '{"lease_id":"gone"}');
    assert.deepEqual([single.status, single.body.code], [404, "LEASE_UNKNOWN"]);
    const { body } = await post("/v1/register", SPEC_BODY);
    const many = await post(
      "/v1/heartbeat",
      JSON.stringify({ leases: [{ lease_id: "gone" }, { lease_id: body.lease_id }] }),
    );
    assert.deepEqual(many.body.unknown, [{ lease_id: "gone", reason: "unknown" }]);
    assert.deepEqual(many.body.renewed, [{ lease_id: body.lease_id, status: "healthy" }]);
  });

  it("knows a holder again by the secret it tells, and takes no secret that could be guessed", async () => {
    const { post } = await start();
    const told = (fields: object) => JSON.stringify({ ...JSON.parse(SPEC_BODY), ...fields });
    const first = await post("/v1/register", told({ holder: "a secret of mine", edition: 1 }));
    const again = await post("/v1/register", told({ holder: "a secret of mine", edition: 0, weight: 9 }));
    assert.deepEqual([again.status, again.body.lease_id], [200, first.body.lease_id]);
    const late = await post("/v1/update", JSON.stringify({ lease_id: first.body.lease_id, edition: 0, weight: 9 }));
    assert.deepEqual([late.status, late.body.weight], [200, 1]);
    const guessed = await post("/v1/register", told({ holder: "me" }));
    assert.deepEqual([guessed.status, guessed.body.field], [422, "holder"]);
  });

  it("refuses to be open to the network unasked, and to answer to a foreign name", async () => {
    assert.throws(() => createRegistryServer({ host: "0.0.0.0" }), /insecure: true.*INSECURE_BIND/);
    const { send } = await start();
    assert.equal((await send("GET", "/v1/status", undefined, { host: "evil.example" })).status, 403);
    assert.equal((await send("GET", "/v1/status", undefined, { host: "localhost:1234" })).status, 200);
  });

  it("survives raw nonsense on its socket", async () => {
    const { url, get } = await start();
    const nonsense = [
      "\u0000\u0001\u0002\r\n\r\n",
      "GET / HTTP/1.1\r\nhost: localhost\r\nhost: other\r\n\r\n",
      "POST /v1/register HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
      `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${"y".repeat(20_000)}\r\n\r\n`,
    ];
    for (const text of nonsense) assert.match(await raw(url, text), /^HTTP\/1\.1 (4\d\d|200)/);
    assert.equal((await get("/v1/status")).status, 200);
  });

  it("takes a thousand cold sockets at once", async () => {
    const { url, server } = await start();
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) => {
        const body = SPEC_BODY.replace("8080", String(index + 1));
        return raw(
          url,
          `POST /v1/register HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
        );
      }),
    );
    assert.equal(answers.filter((answer) => answer.startsWith("HTTP/1.1 201")).length, 1_000);
    assert.equal((server.registry as { size?: number }).size, 1_000);
  });
});

const LIST = "/v1/services/user-service/instances";

async function start(options: RegistryServerOptions = {}) {
  const clock = new ManualClock();
  const server = createRegistryServer({ port: 0, clock, warmingMs: 0, ...options });
  opened.push(server);
  const url = await server.listen();
  const send = async (method: string, path: string, body?: string, headers: Record<string, string> = {}) => {
    const answer = await request(`${url}${path}`, { method: method as "GET", body: body ?? null, headers });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    const type = String(answer.headers["content-type"]);
    // biome-ignore lint/suspicious/noExplicitAny: answers are looked into as they come
    const parsed: any =
      type.includes("json") && !answer.headers["content-encoding"] && bytes.length ? JSON.parse(String(bytes)) : bytes;
    return { status: answer.statusCode, headers: answer.headers, type, body: parsed };
  };
  const post = (path: string, body: string) => send("POST", path, body, { "content-type": "application/json" });
  return { clock, server, url, send, post, get: (path: string) => send("GET", path) };
}

function pick({ status, body }: { status: number; body: { warming: boolean; instances: unknown[] } }): unknown[] {
  return [status, body.warming, body.instances];
}

async function watching(url: string, headers: Record<string, string> = {}) {
  const { body } = await request(url, { headers });
  body.setEncoding("utf8");
  const chunks = body[Symbol.asyncIterator]();
  let rest = "";
  return {
    async next(): Promise<string> {
      while (!rest.includes("\n")) rest += (await chunks.next()).value;
      const line = rest.slice(0, rest.indexOf("\n"));
      rest = rest.slice(line.length + 1);
      return line;
    },
    end: () => void body.on("error", () => {}).destroy(),
  };
}

function raw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(text));
    let answer = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      answer += chunk;
      if (answer.includes("\r\n\r\n")) socket.destroy();
    });
    socket.once("close", () => resolve(answer));
    socket.once("error", reject);
  });
}

async function isOver(promise: Promise<unknown>): Promise<boolean> {
  return Promise.race([promise.then(() => true), settle().then(() => false)]);
}

function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5)); // lets a request reach the server's side of the socket
}
