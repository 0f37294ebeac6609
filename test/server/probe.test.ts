import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { afterEach, describe, it } from "vitest";
import { defineInstance } from "../../src/model/instance.js";
import { systemClock } from "../../src/runtime/clock.js";
import { connectProbe } from "../../src/server/connect-probe.js";
import { GuardedLookup, type Resolve } from "../../src/server/guarded-lookup.js";
import { type Probed, systemProbe } from "../../src/server/probe.js";
import { ProbeRules, type ProbeTarget } from "../../src/server/probe-target.js";
import { ManualClock } from "../../src/testing/index.js";
import { deadPort } from "../fakes/backend.js";
import { SELF_SIGNED } from "../fakes/identity.js";

const rules = new ProbeRules();
const clock = systemClock;
const opened: Server[] = [];
const sockets = new Set<Socket>();
afterEach(() => {
  for (const server of opened.splice(0)) server.close();
  for (const socket of sockets) socket.destroy();
  sockets.clear();
});

describe("systemProbe", () => {
  it("takes any answer below 500 for life, and 5xx for none", async () => {
    const port = await serving((request, response) => response.writeHead(Number(request.url?.slice(1))).end("x"));
    for (const status of [200, 204, 401, 404, 429]) assert.equal(await see({ port, path: `/${status}` }), "alive");
    for (const status of [500, 503, 599]) assert.equal(await see({ port, path: `/${status}` }), "server_error");
  });

  it("tells a refused connection from silence, and both from somebody who hangs up or talks nonsense", async () => {
    assert.equal(await see({ port: await deadPort() }), "refused");
    assert.equal(await see({ port: await accepting(() => {}) }, 50), "timed_out");
    assert.equal(await see({ port: await accepting((socket) => socket.destroy()) }), "alive");
    assert.equal(await see({ port: await accepting((socket) => socket.end("SSH-2.0-nonsense\r\n\r\n")) }), "alive");
    assert.equal(await see({ port: await accepting((socket) => socket.end("x")), scheme: "https" }), "alive");
  });

  it("follows no redirect", async () => {
    let followed = 0;
    const elsewhere = await serving((_, response) => response.end(String(followed++)));
    for (const location of [`http://127.0.0.1:${elsewhere}/`, "http://169.254.169.254/latest/meta-data/"]) {
      const port = await serving((_, response) => response.writeHead(302, { location }).end());
      assert.equal(await see({ port }), "alive");
    }
    assert.equal(followed, 0);
  });

  it("sends a bare GET: nothing that is a secret, and nothing a registrant chose but the path", async () => {
    let seen: IncomingMessage | undefined;
    const port = await serving((request, response) => {
      seen = request;
      response.end();
    });
    await see({ port, path: "/up?x=%0d%0aevil:1" });
    assert.deepEqual([seen?.method, seen?.url], ["GET", "/up?x=%0d%0aevil:1"]);
    assert.deepEqual(seen?.headers, { host: `127.0.0.1:${port}`, connection: "close" });
  });

  it("hangs up on an answer that does not end, and on one that never does", async () => {
    let written = 0;
    const port = await serving((_, response) => {
      const more = (): void => {
        written += 16_384;
        response.write("x".repeat(16_384));
      };
      response.on("drain", more);
      more();
    });
    assert.equal(await see({ port }, 2_000), "alive");
    assert.ok(written < 16 * 1_024 * 1_024, `${written} bytes were taken`); // what the kernel's buffers hold
  });

  it("measures until the answer begins, and takes it for life although it never ends", async () => {
    const manual = new ManualClock();
    const controller = new AbortController();
    const port = await serving((_, response) => {
      response.writeHead(200).write("x");
      systemClock.schedule(500, () => void manual.advance(5_000).then(() => controller.abort()));
    });
    const probe = systemProbe({ lookup: new GuardedLookup(rules), clock: manual });
    assert.deepEqual(await probe({ ...TARGET, port }, controller.signal), { seen: "alive", latencyMs: 0 });
  });

  it("asks over TLS without minding who certified the answer", async () => {
    const port = await listening(createTlsServer(SELF_SIGNED, (_, response) => response.writeHead(500).end()));
    assert.equal(await see({ port, scheme: "https" }), "server_error");
  });

  it("ends a probe whose time is up before it began", async () => {
    const port = await accepting(() => {});
    const probe = systemProbe({ lookup: new GuardedLookup(rules), clock });
    for (const scheme of ["http", "tcp"] as const) {
      const { seen } = await probe({ ...TARGET, port, scheme }, AbortSignal.abort());
      assert.notEqual(seen, "refused");
    }
  });

  it("only connects to what does not speak HTTP", async () => {
    assert.equal(await see({ port: await accepting(() => {}), scheme: "tcp" }), "alive");
    assert.equal(await see({ port: await deadPort(), scheme: "tcp" }), "refused");
  });

  it("judges a name whenever it connects: what was harmless may lead to a secret now", async () => {
    let asked = 0;
    const port = await serving((_, response) => response.end(String(asked++)));
    const answers = [["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1", "fd00:ec2::254"], ["64:ff9b::a9fe:a9fe"], []];
    const lookup = new GuardedLookup(rules, (_, answer) => answer(null, addresses(answers.shift() ?? [])));
    const seen: string[] = [];
    while (answers.length > 0) seen.push(await see({ host: "orders.internal", port }, 1_000, lookup));
    assert.deepEqual(seen, ["alive", "denied", "denied", "denied", "denied"]);
    assert.equal(asked, 1);
    const toLoopback = new GuardedLookup(rules, (_, answer) => answer(null, addresses(["127.0.0.1"])));
    assert.equal(await see({ host: "orders.internal", port, local: false }, 1_000, toLoopback), "denied");
  });

  it("resolves names as the system does", async () => {
    const port = await serving((_, response) => response.end());
    assert.equal(await see({ host: "localhost", port }), "alive");
    assert.equal(await see({ host: "localhost", port: await deadPort() }), "refused");
  });

  it("blames no instance for a name server that fails or is silent", async () => {
    const failing = new GuardedLookup(rules, (_, answer) => answer(new Error("ENOTFOUND"), []));
    const silent = new GuardedLookup(rules, () => {});
    for (const scheme of ["http", "tcp"] as const) {
      assert.equal(await see({ host: "orders.internal", scheme }, 1_000, failing), "unknown");
      assert.equal(await see({ host: "orders.internal", scheme }, 30, silent), "unknown");
    }
  });
});

describe("GuardedLookup", () => {
  it("asks two names at a time, and each of them once for all who wait", async () => {
    const asked: [string, Parameters<Resolve>[1]][] = [];
    const lookup = new GuardedLookup(rules, (host, answer) => void asked.push([host, answer]));
    const found: string[] = [];
    const ask = (host: string): void =>
      lookup.for(true, () => found.push(host))(host, { all: true }, (error) => assert.equal(error, null));
    for (const host of ["a", "b", "c", "a", "c"]) ask(host);
    assert.deepEqual(
      asked.map(([host]) => host),
      ["a", "b"],
    );
    for (let index = 0; index < 3; index++) asked[index]?.[1](null, addresses(["10.0.0.1"]));
    assert.deepEqual(
      asked.map(([host]) => host),
      ["a", "b", "c"],
    );
    assert.deepEqual(found, ["a", "a", "b", "c", "c"]);
  });
});

describe("connectProbe", () => {
  const local = connectProbe({ rules, lookup: new GuardedLookup(rules), clock, local: true });
  const remote = connectProbe({ rules, lookup: new GuardedLookup(rules), clock, local: false });
  const { signal } = new AbortController();

  it("says whether somebody listens, and nothing where it must not look", async () => {
    const listening = instanceAt("127.0.0.1", await accepting(() => {}));
    assert.equal(await local(listening, signal), "alive");
    assert.equal(await local(instanceAt("127.0.0.1", await deadPort()), signal), "refused");
    assert.equal(await remote(listening, signal), "unknown");
    assert.equal(await local(instanceAt("169.254.169.254", 80), signal), "unknown");
  });

  it("knows nothing when its time is up", async () => {
    const controller = new AbortController();
    const silent = connectProbe({ rules, lookup: new GuardedLookup(rules, () => {}), clock, local: true });
    const asked = silent(instanceAt("orders.internal", 8_080), controller.signal);
    controller.abort();
    assert.equal(await asked, "unknown");
    assert.equal(await local(instanceAt("127.0.0.1", await deadPort()), AbortSignal.abort()), "unknown");
  });
});

const TARGET: ProbeTarget = { host: "127.0.0.1", port: 0, path: "/health", scheme: "http", local: true };

function probed(target: Partial<ProbeTarget>, timeoutMs = 5_000, lookup = new GuardedLookup(rules)): Promise<Probed> {
  const controller = new AbortController();
  const cancel = clock.schedule(timeoutMs, () => controller.abort());
  return systemProbe({ lookup, clock })({ ...TARGET, ...target }, controller.signal).finally(cancel);
}

async function see(...given: Parameters<typeof probed>): Promise<string> {
  return (await probed(...given)).seen;
}

async function serving(listener: RequestListener): Promise<number> {
  return listening(createServer(listener));
}

async function accepting(accept: (socket: Socket) => void): Promise<number> {
  return listening(createTcpServer((socket) => accept(socket.on("error", () => {}))));
}

async function listening(server: Server): Promise<number> {
  opened.push(server);
  server.on("connection", (socket: Socket) => sockets.add(socket));
  await once(server.listen(0, "127.0.0.1"), "listening");
  return (server.address() as AddressInfo).port;
}

function addresses(given: readonly string[]) {
  return given.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
}

function instanceAt(host: string, port: number) {
  return defineInstance({ service: "orders", host, port });
}
