import assert from "node:assert/strict";
import { Agent, type Dispatcher } from "undici";
import { describe, it } from "vitest";
import { createResolver, DiscoveryError, type ResolverClient, staticRegistry } from "../../src/index.js";
import { type Backend, deadPort, startBackend } from "../fakes/backend.js";
import { opened } from "../opened.js";

describe("the interceptor", () => {
  it("sends calls by service name to an instance, and lets other hosts pass", async () => {
    const { resolver, backends } = await start(2);
    const agent = composed(resolver);
    for (let call = 0; call < 4; call++) {
      assert.equal((await agent.request({ origin: "http://orders", path: "/", method: "GET" })).statusCode, 200);
    }
    const other = await startBackend();
    opened.push(other);
    const { body } = await agent.request({ origin: `http://127.0.0.1:${other.port}`, path: "/", method: "GET" });
    assert.equal(await body.text(), String(other.port));
    assert.deepEqual(
      backends.map(({ requests }) => requests.length),
      [2, 2],
    );
  });

  it("composes with others, before it and after it", async () => {
    const { resolver } = await start(1);
    const seen: string[] = [];
    const notes =
      (name: string): Dispatcher.DispatcherComposeInterceptor =>
      (dispatch) =>
      (options, handler) => {
        seen.push(`${name} ${options.origin}`);
        return dispatch(options, handler);
      };
    const agent = new Agent().compose(notes("inner"), resolver.interceptor(), notes("outer"));
    opened.push(agent);
    await (await agent.request({ origin: "http://orders", path: "/", method: "GET" })).body.dump();
    assert.deepEqual(seen, ["outer http://orders"]);
  });

  it("serves a handler of the newer form, its controller included", async () => {
    const { resolver, backends } = await start(1);
    const told: string[] = [];
    await dispatched(resolver, (done) => ({
      onRequestStart: (controller) => void told.push(`start ${controller.aborted}`),
      onResponseStart: (_controller, status, headers) => void told.push(`${status} ${typeof headers["date"]}`),
      onResponseData: (controller, chunk) => {
        told.push(chunk.toString());
        controller.pause();
        setImmediate(() => controller.resume());
      },
      onResponseEnd: (_controller, trailers) => done(void told.push(`end ${Object.keys(trailers).length}`)),
      onResponseError: (_controller, error) => done(void told.push(String(error))),
    }));
    assert.deepEqual(told, ["start false", "200 string", String(backends[0]?.port), "end 0"]);
  });

  it("tells a handler of the newer form of errors, and lets it abort", async () => {
    const { resolver } = await start(0);
    const errors: unknown[] = [];
    await dispatched(resolver, (done) => ({
      onRequestStart: () => {},
      onResponseError: (_controller, error) => done(void errors.push(error)),
    }));
    assert.ok(DiscoveryError.is(errors[0], "SERVICE_UNKNOWN"));
    const reason = new Error("mine");
    const { resolver: other, backends } = await start(1);
    await dispatched(other, (done) => ({
      onRequestStart: (controller) => controller.abort(reason),
      onResponseError: (_controller, error) => done(void errors.push(error)),
    }));
    assert.equal(errors[1], reason);
    assert.equal(backends[0]?.requests.length, 0);
  });

  it("serves a handler of the older form", async () => {
    const { resolver } = await start(1);
    const told: string[] = [];
    await dispatched(resolver, (done) => ({
      onConnect: () => void told.push("connect"),
      onHeaders: (status) => told.push(String(status)) > 0,
      onData: () => told.push("data") > 0,
      onComplete: () => done(void told.push("complete")),
      onError: (error) => done(void told.push(String(error))),
    }));
    assert.deepEqual(told, ["connect", "200", "data", "complete"]);
  });
});

describe("warmup", () => {
  it("fetches the lists, and opens a connection to each instance before the first call", async () => {
    const { resolver, backends, connections } = await start(2);
    await resolver.warmup(["orders"]);
    assert.equal(resolver.service("orders").instances().length, 2);
    assert.equal(connections(), 0);
    await resolver.warmup(["orders"], { connections: true });
    assert.equal(connections(), 2);
    for (let call = 0; call < 2; call++) await (await resolver.service("orders").request("/")).body.dump();
    assert.equal(connections(), 2, "the calls came over the same connections");
    assert.deepEqual(
      backends.map(({ requests }) => requests),
      [["GET /"], ["GET /"]],
    );
  });

  it("does not mind an instance that cannot be reached, but a service nobody knows", async () => {
    const dead = await deadPort();
    const { resolver } = await start(1, [dead]);
    await resolver.warmup(["orders"], { connections: true });
    await assert.rejects(resolver.warmup(["orders", "nobody"]), (error) => DiscoveryError.is(error, "SERVICE_UNKNOWN"));
  });

  it("ends with its signal", async () => {
    const { resolver } = await start(1);
    const reason = new Error("mine");
    await assert.rejects(
      resolver.warmup(["orders"], { signal: AbortSignal.abort(reason), connections: true }),
      (error) => error === reason,
    );
  });
});

async function start(count: number, dead: readonly number[] = []) {
  const backends: Backend[] = [];
  let accepted = 0;
  for (let index = 0; index < count; index++) {
    const backend = await startBackend();
    backend.server.on("connection", () => accepted++);
    opened.push(backend);
    backends.push(backend);
  }
  const ports = [...backends.map(({ port }) => port), ...dead];
  const registry = staticRegistry(ports.map((port) => ({ service: "orders", host: "127.0.0.1", port })));
  const resolver = createResolver({ registry });
  opened.push(resolver);
  return { resolver, backends, connections: () => accepted };
}

function composed(resolver: ResolverClient): Dispatcher {
  const agent = new Agent().compose(resolver.interceptor());
  opened.push(agent);
  return agent;
}

/** Makes one call with a handler of either form; resolves when it says so. */
async function dispatched(
  resolver: ResolverClient,
  make: (done: (nothing: void) => void) => Dispatcher.DispatchHandler,
): Promise<void> {
  const dispatch = resolver.interceptor()(() => assert.fail("it must end here"));
  await new Promise<void>((resolve) => {
    dispatch({ origin: "http://orders", path: "/", method: "GET" }, make(resolve));
  });
}
