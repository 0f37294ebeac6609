import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { createServer } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, describe, it } from "vitest";
import { type EtcdOptions, etcd } from "../../src/adapters/etcd.js";
import { DiscoveryError, type ErrorCode } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { startBackend } from "../fakes/backend.js";

const { signal } = new AbortController();
const HEADER = { cluster_id: "1", revision: "7" };
const opened: { close(): Promise<unknown> }[] = [];

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

describe("etcd", () => {
  const answers: readonly (readonly [string, number, string, ErrorCode, RegExp])[] = [
    [
      "of 3.5",
      403,
      '{"code":7,"message":"etcdserver: permission denied"}',
      "UNAUTHORIZED",
      /needs a role with readwrite/,
    ],
    ["of 3.4", 403, '{"error":"etcdserver: permission denied","code":7}', "UNAUTHORIZED", /needs a role/],
    ["of a stream", 503, '{"error":{"code":14,"message":"etcdserver: no leader"}}', "UNAVAILABLE", /a quorum\?/],
    [
      "of a full store",
      429,
      '{"code":8,"message":"etcdserver: mvcc: database space exceeded"}',
      "OVERLOADED",
      /compact/,
    ],
    ["of a proxy", 429, "slow down", "OVERLOADED", /slow down/],
    ["of another server", 404, "<html>", "PROTOCOL", /with 404; is that the client port of an etcd/],
    ["of another server that says yes", 200, '{"hello":1}', "PROTOCOL", /without etcd's header/],
    ["that ends in the middle", 200, '{"header":{"clus', "PROTOCOL", /no JSON/],
    ["of one that speaks TLS", 400, "Client sent an HTTP request to an HTTPS server.\n", "PROTOCOL", /etcd\+https/],
    ["that sends elsewhere", 302, "", "PROTOCOL", /with 302/],
  ];
  for (const [what, status, text, code, pattern] of answers) {
    it(`says what a refusal ${what} means`, async () => {
      const { registry } = await answering((_path, response) => response.writeHead(status).end(text));
      await rejects(registry.list("orders", { signal }), code, pattern);
    });
  }

  it("says that something else than HTTP listens there", async () => {
    const server = createServer((socket) => socket.end("-ERR unknown command\r\n")).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    opened.push({ close: async () => server.close() });
    const { port } = server.address() as { port: number };
    await rejects(
      made({ endpoints: `http://127.0.0.1:${port}` }).list("orders", { signal }),
      "PROTOCOL",
      /speaks no HTTP/,
    );
  });

  it("asks for another token once, and not again and again", async () => {
    const asked: string[] = [];
    const { registry } = await answering(
      (path, response) => {
        asked.push(path);
        if (path === "/v3/auth/authenticate") response.end(JSON.stringify({ header: HEADER, token: "t" }));
        else response.writeHead(401).end('{"code":16,"message":"etcdserver: invalid auth token"}');
      },
      { username: "ann", password: "secret" },
    );
    await rejects(registry.list("orders", { signal }), "UNAUTHORIZED", /has the token run out/);
    assert.deepEqual(
      asked.map((path) => path.split("/").at(-1)),
      ["authenticate", "txn", "authenticate", "txn"],
    );
  });

  it("needs no token where nobody is asked for one", async () => {
    const { registry } = await answering(
      (path, response) => {
        const refused = path === "/v3/auth/authenticate";
        const text = refused ? '{"code":9,"message":"etcdserver: authentication is not enabled"}' : empty();
        response.writeHead(refused ? 400 : 200).end(text);
      },
      { username: "ann", password: "secret" },
    );
    assert.equal((await registry.list("orders", { signal })).type, "absent");
  });

  it("fetches one token for all who ask at once", async () => {
    let fetched = 0;
    const { registry } = await answering(
      (path, response) => {
        if (path === "/v3/auth/authenticate") fetched++;
        response.end(path === "/v3/auth/authenticate" ? JSON.stringify({ header: HEADER, token: "t" }) : empty());
      },
      { username: "ann" },
    );
    const own = () => ({ signal: new AbortController().signal });
    await Promise.all(Array.from({ length: 20 }, () => registry.list("orders", own())));
    assert.equal(fetched, 1);
  });

  it("asks for another token when a watch is refused for the one it had", async () => {
    let fetched = 0;
    const { registry } = await answering(
      (path, response, _body, token) => {
        if (path === "/v3/auth/authenticate") {
          return response.end(JSON.stringify({ header: HEADER, token: `t${++fetched}` }));
        }
        if (path !== "/v3/watch") return response.end(empty());
        const cancel_reason = "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token";
        const refusal = { created: true, canceled: true, watch_id: "-1", cancel_reason };
        const kv = { key: keyOf("a"), value: recordOf("a"), create_revision: "8", mod_revision: "8" };
        for (const each of token === "t1" ? [refusal] : [{ created: true }, { events: [{ kv }] }]) {
          response.write(`${JSON.stringify({ result: { header: HEADER, ...each } })}\n`);
        }
        return response;
      },
      { username: "ann" },
    );
    const updates = registry.watch?.("orders", { signal })[Symbol.asyncIterator]();
    await updates?.next();
    const { value } = (await updates?.next()) ?? {};
    assert.equal(value?.type === "reset" && value.instances.length, 1);
    assert.equal(fetched, 2);
  });

  it("throws what a watch was cancelled for", async () => {
    const { registry } = await answering((path, response) => {
      const reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
      const result = { header: HEADER, created: true, canceled: true, cancel_reason: reason };
      response.end(path === "/v3/watch" ? `${JSON.stringify({ result })}\n` : empty());
    });
    const updates = registry.watch?.("orders", { signal })[Symbol.asyncIterator]();
    await updates?.next();
    await rejects(updates?.next() ?? Promise.resolve(), "UNAUTHORIZED", /cancelled a watch: .*permission denied/);
  });

  it("puts the fragments of one answer together before it tells of it", async () => {
    const { registry } = await answering((path, response) => {
      if (path !== "/v3/watch") return response.end(empty());
      const kv = (id: string) => ({ key: keyOf(id), value: recordOf(id), create_revision: "8", mod_revision: "8" });
      const results = [
        { created: true },
        { fragment: true, events: [{ kv: kv("a") }] },
        { fragment: true, events: [{ kv: kv("b") }] },
        { events: [{ kv: kv("c") }] },
      ];
      for (const each of results) response.write(`${JSON.stringify({ result: { header: HEADER, ...each } })}\n`);
      return response;
    });
    const updates = registry.watch?.("orders", { signal })[Symbol.asyncIterator]();
    await updates?.next();
    const { value } = (await updates?.next()) ?? {};
    assert.equal(value?.type === "reset" && value.instances.length, 3);
  });

  it("asks a watch for its progress, which is a sign of life to whoever reads it", async () => {
    let create: { progress_notify?: boolean } | undefined;
    const { registry } = await answering((path, response, body) => {
      if (path !== "/v3/watch") return response.end(empty());
      create = JSON.parse(body).create_request;
      for (const each of [{ created: true }, {}]) {
        response.write(`${JSON.stringify({ result: { header: { ...HEADER, revision: "9" }, ...each } })}\n`);
      }
      return response;
    });
    const updates = registry.watch?.("orders", { signal })[Symbol.asyncIterator]();
    await updates?.next();
    const { value } = (await updates?.next()) ?? {};
    assert.equal(value?.type, "current");
    assert.equal(create?.progress_notify, true);
  });

  for (const count of [1, 3]) {
    it(`says that ${count === 1 ? "its only endpoint is" : "all its endpoints are"} silent before its callers give up`, async () => {
      const clock = new ManualClock();
      const backends = await Promise.all(Array.from({ length: count }, () => startBackend(() => {})));
      opened.push(...backends);
      const registry = made({ endpoints: backends.map(({ port }) => `http://127.0.0.1:${port}`), clock });
      const listed = registry.list("orders", { signal });
      listed.catch(() => {});
      await clock.advance(2_999); // agents and resolvers wait for three seconds
      await rejects(listed, "UNAVAILABLE", /did not answer POST .* is it overloaded, or the cluster without a quorum/);
    });
  }

  it("refuses options that cannot be right, and keeps secrets out of what it says", () => {
    const wrong: readonly (readonly [EtcdOptions, RegExp])[] = [
      [{ endpoints: [] }, /etcd\.endpoints must be one URL or several/],
      [{ endpoints: "127.0.0.1:2379" }, /etcd\.endpoints must be http:\/\/ or https:\/\/ URLs/],
      [{ endpoints: "etcd://h:1" }, /etcd\.endpoints must be http:/],
      [{ username: "ann", token: "secret" }, /etcd\.token must be left out/],
      [{ perfix: "/x/" } as EtcdOptions, /did you mean prefix/],
    ];
    for (const [options, pattern] of wrong) {
      assert.throws(
        () => etcd(options),
        (error) => error instanceof Error && pattern.test(error.message) && !error.message.includes("secret"),
      );
    }
    assert.doesNotMatch(made({ endpoints: "http://ann:secret@127.0.0.1:1" }).name, /secret/);
  });
});

function empty(): string {
  const word = Buffer.from("w".repeat(64)).toString("base64");
  const ranges = [{ kvs: [{ key: "", value: word }] }, {}, {}].map((response_range) => ({ response_range }));
  return JSON.stringify({ header: HEADER, succeeded: true, responses: ranges });
}

function keyOf(id: string): string {
  return Buffer.from(`/mcp-discovery/services/orders/instances/${id}/1`).toString("base64");
}

function recordOf(id: string): string {
  return Buffer.from(JSON.stringify({ id, service_name: "orders", host: "127.0.0.1", port: 80 })).toString("base64");
}

function made(options: EtcdOptions) {
  const registry = etcd(options);
  opened.push(registry);
  return registry;
}

async function answering(
  answer: (path: string, response: ServerResponse, body: string, token: string | undefined) => unknown,
  options: EtcdOptions = {},
) {
  const backend = await startBackend(async (request, response) => {
    answer(request.url ?? "", response, await text(request), request.headers.authorization);
  });
  opened.push(backend);
  return { registry: made({ endpoints: `http://127.0.0.1:${backend.port}`, ...options }) };
}

function rejects(call: Promise<unknown>, code: ErrorCode, pattern: RegExp): Promise<void> {
  return assert.rejects(call, (error) => {
    assert.ok(DiscoveryError.is(error, code), String(error));
    assert.match(error.message, pattern);
    return true;
  });
}
