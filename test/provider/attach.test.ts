import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, get, Agent as HttpAgent, type IncomingMessage, request, type Server } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, connect, createServer as createSocketServer, type Socket } from "node:net";
import { afterEach, describe, it } from "vitest";
import {
  type Agent,
  type AgentEvents,
  type AttachOptions,
  type CreateAgentOptions,
  createAgent,
  DiscoveryError,
  type MemoryRegistry,
  memoryRegistry,
} from "../../src/index.js";
import { quietIn } from "../../src/provider/attachment.js";

const opened: { readonly agent: Agent; readonly server: Server; readonly memory: MemoryRegistry }[] = [];

afterEach(async () => {
  for (const { agent, server, memory } of opened.splice(0)) {
    server.closeAllConnections();
    await agent.stop();
    await memory.close();
  }
});

describe("agent.attach", () => {
  it("registers when the server listens, never before, with the port it got", async () => {
    const { agent, server, listed } = stage();
    const started = agent.start();
    await turns();
    assert.deepEqual(await listed(), []);
    assert.equal(agent.state, "registering");
    server.listen(0, "127.0.0.1");
    await started;
    assert.deepEqual(await listed(), [`orders@127.0.0.1:${portOf(server)}`]);
    assert.deepEqual([agent.address?.host, agent.address?.from], ["127.0.0.1", "option"]);
  });

  it("registers at once when the server listens already, and lets a given port stand", async () => {
    const server = createServer();
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { agent, listed } = stage({ server, options: { port: 8_080 } });
    await next(agent, "registered");
    assert.deepEqual(await listed(), ["orders@127.0.0.1:8080"]);
  });

  it("asks for a port where none is to be had", async () => {
    const { registry } = stage();
    const alone = createAgent({ registry, service: "orders", host: "127.0.0.1" });
    await assert.rejects(alone.start(), /agent\.port is missing: give it, or attach a server/);
    assert.equal(alone.state, "idle");
  });

  it("tells of a refusal and tries again, since nobody awaits it", async () => {
    const { agent, server, registry, memory } = stage({ options: { id: "one", random: () => 0.05 } });
    const other = createAgent({ registry, service: "orders", id: "one", port: 1, host: "127.0.0.1", drainMs: 0 });
    await other.start();
    server.listen(0, "127.0.0.1");
    const conflict = next(agent, "conflict");
    const { cause, attempt } = await next(agent, "registerFailed");
    assert.equal((await conflict).cause, cause);
    assert.deepEqual([cause.code, attempt], ["ID_CONFLICT", 1]);
    await other.stop();
    await next(agent, "registered");
    assert.equal(memory.size, 1);
  });

  it("leaves when somebody else closes the server, and does not wait for consumers then", async () => {
    const { agent, server, listed } = await listening({ options: { drainMs: 60_000 } });
    server.close();
    const { deregistered } = await next(agent, "stopped");
    assert.ok(deregistered);
    assert.deepEqual(await listed(), []);
  });

  it("closes a server that begins to listen only after the goodbye", async () => {
    const { agent, server } = stage();
    await agent.stop();
    server.listen(0, "127.0.0.1");
    await once(server, "close");
  });

  it("lets a server be used again after the goodbye", async () => {
    const { agent, server } = await listening({ attach: { quietMs: 0 } });
    await agent.stop();
    await once(server.listen(0, "127.0.0.1"), "listening");
    await turns();
    assert.ok(server.listening);
    server.close();
  });

  it("follows no second server, and none after stop()", async () => {
    const { agent } = stage();
    assert.throws(() => agent.attach(createServer()), /attach: this agent has a server already/);
    await agent.stop();
    assert.throws(
      () => agent.attach(createServer()),
      (error) => DiscoveryError.is(error, "CLOSED"),
    );
  });

  it("refuses wrong options by name", () => {
    const { registry } = stage();
    const agent = createAgent({ registry, service: "orders" });
    const attach = (options: object, server: unknown = createServer()) => {
      return () => agent.attach(server as Server, options as AttachOptions);
    };
    assert.throws(attach({}, {}), /attach\.server must be a server of node:http/);
    assert.throws(attach({ signal: true }), /attach\.signal is no option: did you mean signals\?/);
    assert.throws(attach({ signals: ["TERM"] }), /attach\.signals must be true, false or an array of signal names/);
    assert.throws(attach({ graceMs: -1 }), /attach\.graceMs must be a number from 0/);
    assert.throws(
      attach({ health: { path: "health" } }),
      /attach\.health\.path must be a path: one \/ .*, got "health"/,
    );
    assert.throws(
      attach({ health: { path: "/" } }),
      /attach\.health\.path must be a path such as "\/health", got "\/"/,
    );
    assert.throws(attach({ close: 5 }), /attach\.close must be a function/);
  });
});

describe("agent.stop with a server", () => {
  it("lets finish what is in flight, serves who comes before it is quiet, then closes", async () => {
    const held: (() => void)[] = [];
    const server = createServer((incoming, response) => {
      if (incoming.url === "/slow") held.push(() => response.end("late"));
      else response.end("quick");
    });
    const { agent, url, events } = await listening({ server, attach: { quietMs: 100 } });
    const keepAlive = new HttpAgent({ keepAlive: true }); // else the client asks for the end of the connection
    const slow = call(`${url}/slow`, keepAlive);
    while (held.length === 0) await turns();
    const stopped = agent.stop();
    await next(agent, "draining");
    const quick = await call(`${url}/quick`, keepAlive);
    assert.deepEqual([quick.text, quick.headers.connection], ["quick", "close"]);
    while (server.listening) await turns();
    await assert.rejects(call(`${url}/quick`), /ECONNREFUSED/);
    held[0]?.();
    const { text, headers } = await slow;
    assert.deepEqual([text, headers.connection], ["late", "close"], "also of what came before the goodbye");
    await stopped;
    assert.equal(events.at(-1)?.inFlight, 0);
  });

  it("cuts off what is not finished after graceMs, and says how much", async () => {
    const server = createServer((_, response) => void response.write("begun"));
    const { agent, url, events } = await listening({ server, attach: { quietMs: 0, graceMs: 100 } });
    const failed = [call(url), call(url)].map((each) => each.catch((error: Error) => error.message));
    while ((await connectionsOf(server)) < 2) await turns();
    await turns();
    await agent.stop();
    assert.deepEqual(await Promise.all(failed), ["aborted", "aborted"]);
    assert.equal(events.at(-1)?.inFlight, 2);
  });

  it("closes idle keep-alive connections, also those that become idle only then", async () => {
    const held: (() => void)[] = [];
    const server = createServer((incoming, response) => {
      if (incoming.url !== "/slow") return response.end("quick");
      response.writeHead(200).write("begun"); // its headers are out: it can no longer say that it closes
      held.push(() => response.end());
      return undefined;
    });
    server.keepAliveTimeout = 60_000;
    const { agent, url } = await listening({ server, attach: { quietMs: 0 } });
    const keepAlive = new HttpAgent({ keepAlive: true });
    await call(`${url}/quick`, keepAlive);
    const slow = call(`${url}/slow`, keepAlive);
    while (held.length === 0) await turns();
    const stopped = agent.stop();
    while (server.listening) await turns();
    held[0]?.();
    await slow;
    await stopped;
    assert.equal(await connectionsOf(server), 0);
    keepAlive.destroy();
  });

  it("waits for upgraded connections until they end, and cuts them off after graceMs", async () => {
    const sockets: Socket[] = [];
    const server = createServer().on("upgrade", (_, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
      sockets.push(socket as Socket);
    });
    const { agent, server: attached, events } = await listening({ server, attach: { quietMs: 0, graceMs: 300 } });
    const upgraded = [await upgrade(portOf(attached)), await upgrade(portOf(attached))];
    agent.once("draining", () => sockets[0]?.end()); // as one would end a WebSocket
    await agent.stop();
    assert.equal(events.at(-1)?.inFlight, 1);
    for (const socket of upgraded) if (!socket.closed) await once(socket, "close");
  });

  it("does not wait for ever for those who never ask a registry", async () => {
    const server = createServer((_, response) => response.end());
    const { agent, url, events } = await listening({ server, attach: { quietMs: 5_000, graceMs: 200 } });
    await call(url);
    await agent.stop();
    assert.ok((events.at(-1)?.tookMs ?? 0) < 5_000);
  });

  it("does not wait for quiet when the registry is away: no consumer can have heard", async () => {
    const server = createServer((_, response) => response.end());
    const { agent, url, memory, events } = await listening({ server, attach: { quietMs: 50, graceMs: 600_000 } });
    const refused = (): Promise<never> => Promise.reject(new DiscoveryError("UNAVAILABLE", "connect ECONNREFUSED"));
    Object.assign(memory, { update: refused, deregister: refused });
    let isOver = false;
    const calling = (async () => {
      while (!isOver) await call(url).catch(() => {});
    })();
    await agent.stop();
    isOver = true;
    await calling;
    assert.equal(events.at(-1)?.deregistered, false);
  });

  it("closes by the framework's own way, and tells what that failed with", async () => {
    const calls: string[] = [];
    const { agent, server, events } = await listening({
      attach: {
        quietMs: 0,
        close: async () => {
          calls.push("closed");
          throw new Error("the pool hung");
        },
      },
    });
    await agent.stop();
    assert.deepEqual(calls, ["closed"]);
    assert.match(String(events.at(-1)?.closeError), /the pool hung/);
    assert.ok(!server.listening, "and the server is closed all the same");
  });

  it("leaves the server's emit as it found it", async () => {
    const { agent, server } = await listening({ attach: { quietMs: 0 } });
    assert.ok(Object.hasOwn(server, "emit"));
    await agent.stop();
    assert.ok(!Object.hasOwn(server, "emit"));
  });

  it("closes a plain socket server as well: waits for its connections, then cuts them off", async () => {
    const server = createSocketServer((socket) => socket.resume());
    await once(server.listen(0, "127.0.0.1"), "listening");
    const memory = memoryRegistry();
    const agent = createAgent({ registry: memory, service: "orders", host: "127.0.0.1", protocol: "tcp", drainMs: 0 });
    agent.attach(server, { signals: false, quietMs: 0, graceMs: 100 });
    await agent.start();
    const client = connect(portOf(server), "127.0.0.1");
    await once(client, "connect");
    const stopped = next(agent, "stopped");
    await agent.stop();
    assert.equal((await stopped).inFlight, 1);
    await memory.close();
  });

  it("closes the sessions of HTTP/2, which would else stay open", async () => {
    const server = createHttp2Server((_, response) => response.end("two"));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const memory = memoryRegistry();
    const agent = createAgent({ registry: memory, service: "orders", host: "127.0.0.1", drainMs: 0 });
    agent.attach(server, { signals: false, quietMs: 0, graceMs: 60_000 });
    await agent.start();
    const session = connectHttp2(`http://127.0.0.1:${portOf(server)}`);
    const ended = once(session, "close");
    const stream = session.request({ ":path": "/" }).resume();
    await once(stream, "end");
    const stopped = next(agent, "stopped");
    await agent.stop();
    await ended;
    assert.equal((await stopped).inFlight, 0);
    await memory.close();
  });

  it("joins a second stop() to the first", async () => {
    const { agent, events } = await listening();
    await Promise.all([agent.stop(), agent.stop(), agent[Symbol.asyncDispose]()]);
    assert.equal(events.length, 1);
  });
});

describe("quietIn", () => {
  it("counts from the last arrival, or from when consumers had heard, whichever is later", () => {
    const at = { now: 1_000, from: 900, until: 9_000, quietMs: 250 };
    assert.equal(quietIn({ ...at, lastArrivalAt: Number.NEGATIVE_INFINITY }), 150);
    assert.equal(quietIn({ ...at, lastArrivalAt: 400 }), 150);
    assert.equal(quietIn({ ...at, lastArrivalAt: 980 }), 230);
  });

  it("is over at its end, and never negative", () => {
    const at = { from: 900, until: 1_100, quietMs: 250, lastArrivalAt: 990 };
    assert.equal(quietIn({ ...at, now: 1_000 }), 100);
    assert.equal(quietIn({ ...at, now: 5_000 }), 0);
  });
});

interface Setting {
  readonly server?: Server;
  readonly options?: Partial<CreateAgentOptions>;
  readonly attach?: AttachOptions;
}

function stage({ server = createServer(), options, attach }: Setting = {}) {
  const memory = memoryRegistry();
  const settings = { registry: memory, service: "orders", host: "127.0.0.1", drainMs: 0 };
  const agent = createAgent({ ...settings, ...options });
  const events: Event<"stopped">[] = [];
  agent.on("stopped", (event) => events.push(event));
  agent.attach(server, { signals: false, ...attach });
  opened.push({ agent, server, memory });
  const listed = async (): Promise<string[]> => {
    const update = await memory.list("orders");
    return update.type === "reset" ? update.instances.map(({ id }) => id) : [];
  };
  return { agent, server, registry: memory, memory, listed, events };
}

async function listening(setting?: Setting) {
  const made = stage(setting);
  made.server.listen(0, "127.0.0.1");
  await made.agent.start();
  return { ...made, url: `http://127.0.0.1:${portOf(made.server)}` };
}

type Event<K extends keyof AgentEvents> = Parameters<AgentEvents[K]>[0];

function next<K extends keyof AgentEvents>(agent: Agent, event: K): Promise<Event<K>> {
  return new Promise((resolve) => agent.once(event, resolve as unknown as AgentEvents[K]));
}

function portOf(server: { address(): unknown }): number {
  return (server.address() as AddressInfo).port;
}

function call(url: string, agent?: HttpAgent): Promise<{ text: string; headers: IncomingMessage["headers"] }> {
  return new Promise((resolve, reject) => {
    get(url, { agent: agent ?? new HttpAgent() }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.once("error", reject).once("end", () => resolve({ text, headers: response.headers }));
    }).once("error", reject);
  });
}

function upgrade(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    request({ port, host: "127.0.0.1", headers: { connection: "Upgrade", upgrade: "echo" } })
      .once("upgrade", (_, socket) => resolve(socket.resume()))
      .once("error", reject)
      .end();
  });
}

function connectionsOf(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}
