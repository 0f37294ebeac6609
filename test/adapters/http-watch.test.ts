import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { afterEach, describe, it } from "vitest";
import { http } from "../../src/adapters/http.js";
import { DiscoveryError, type ErrorCode } from "../../src/model/errors.js";
import type { RegistryUpdate } from "../../src/model/update.js";
import { startBackend } from "../fakes/backend.js";

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

describe("the watches of one http()", () => {
  it("share one stream, and open it once for all that begin together", async () => {
    const { watch, next } = await start();
    const watches = Array.from({ length: 50 }, (_, index) => watch(`s${index}`));
    for (const each of watches) each.read();
    const stream = await next();
    assert.equal(Object.keys(stream.services).length, 50);
    for (let index = 0; index < 50; index++) stream.say(`s${index}`, index);
    for (const [index, each] of watches.entries()) assert.equal((await each.read()).position, `e:${index}`);
  });

  it("wait for a stream that is being opened, and then have the next one in common", async () => {
    const { watch, next, count } = await start();
    watch("a").read();
    const first = await next();
    for (const service of ["b", "c", "d"]) {
      watch(service).read();
      await turn();
    }
    assert.equal(count(), 1);
    first.hello();
    assert.deepEqual(Object.keys((await next()).services), ["a", "b", "c", "d"]);
  });

  it("are resumed where each was when another joins", async () => {
    const { watch, next } = await start();
    const a = watch("a");
    a.read();
    const first = await next();
    first.hello();
    first.say("a", 7);
    await a.read();
    watch("b", "e:3").read();
    assert.deepEqual((await next()).services, { a: "e:7", b: "e:3" });
    assert.ok(first.isOver());
  });

  it("are not held up by a stream that never opens", async () => {
    const { watch, next } = await start();
    const halt = new AbortController();
    const a = watch("a", undefined, halt.signal);
    const reading = a.read().catch((error: unknown) => error);
    await next(); // and no word more
    const b = watch("b");
    b.read();
    await turn();
    halt.abort(new Error("heard nothing for too long"));
    await reading;
    const second = await next();
    assert.deepEqual(Object.keys(second.services), ["b"]);
    second.say("b", 1);
    assert.equal((await b.read()).position, "e:1");
  });

  it("all hear a ping", async () => {
    const { watch, next } = await start();
    const watches = [watch("a"), watch("b")];
    const told = watches.map((each) => each.read());
    (await next()).line('{"event":"ping"}');
    for (const each of told) assert.equal((await each).type, "current");
  });

  it("all end when the stream breaks, says what is no JSON, or what is no event", async () => {
    const ends: readonly [ErrorCode, (response: ServerResponse) => unknown][] = [
      ["UNAVAILABLE", (response) => response.destroy()],
      ["UNAVAILABLE", (response) => response.end()],
      ["PROTOCOL", (response) => response.write("<html>\n")],
      ["PROTOCOL", (response) => response.write("null\n")],
      ["PROTOCOL", (response) => response.write('{"event":"snapshot","service_name":"a"}\n')],
    ];
    for (const [code, end] of ends) {
      const { watch, next } = await start();
      const reading = [watch("a"), watch("b")].map((each) => each.read().catch((error: unknown) => error));
      const { hello, response } = await next();
      hello();
      end(response);
      for (const each of reading) assert.ok(DiscoveryError.is(await each, code), code);
    }
  });

  it("let go of the stream with the last of them", async () => {
    const { watch, next } = await start();
    const halt = new AbortController();
    const reading = watch("a", undefined, halt.signal)
      .read()
      .catch(() => {});
    const stream = await next();
    stream.hello();
    halt.abort();
    await reading;
    await stream.over;
  });
});

describe("what the watches of one http() acknowledge", () => {
  it("is what was applied: the one who got it has asked for the next", async () => {
    const { watch, next, acks } = await start();
    const a = watch("a");
    a.read();
    const stream = await next();
    assert.equal(stream.acks, true);
    stream.hello("w-1");
    stream.goodbye("a", 7);
    assert.equal((await a.read()).position, "e:7");
    await turn();
    assert.deepEqual(acks.bodies, []);
    a.read();
    await acks.until(1);
    assert.deepEqual(acks.bodies, [{ watch_id: "w-1", service_name: "a", revision: 7 }]);
  });

  it("is what every reader of the service has applied", async () => {
    const { watch, next, acks } = await start();
    const [swift, slow] = [watch("a"), watch("a")];
    for (const each of [swift, slow]) each.read();
    const stream = await next();
    stream.hello("w-1");
    stream.goodbye("a", 7);
    await Promise.all([swift.read(), slow.read()]);
    swift.read();
    await turn();
    assert.deepEqual(acks.bodies, []);
    slow.read();
    await acks.until(1);
    assert.equal(acks.bodies.length, 1);
  });

  it("is never what a reader left behind, and always what nobody reads any more", async () => {
    const { watch, next, acks } = await start();
    const halt = new AbortController();
    const [a, b] = [watch("a", undefined, halt.signal), watch("b")];
    for (const each of [a, b]) each.read();
    const stream = await next();
    stream.hello("w-1");
    stream.goodbye("a", 7);
    await a.read();
    halt.abort();
    await a.read().catch(() => {});
    await turn();
    assert.deepEqual(acks.bodies, []);
    stream.goodbye("a", 8);
    await acks.until(1);
    assert.deepEqual(
      acks.bodies.map(({ revision }) => revision),
      [8],
    );
  });

  it("is told in one request at a time, in which the latest stands for those before it", async () => {
    const { watch, next, acks } = await start();
    acks.answer = () => {}; // for now
    const [a, b] = [watch("a"), watch("b")];
    for (const each of [a, b]) each.read();
    const stream = await next();
    stream.hello("w-1");
    for (let revision = 1; revision <= 9; revision++) {
      stream.goodbye(revision === 5 ? "b" : "a", revision);
      await (revision === 5 ? b : a).read();
    }
    for (const each of [a, b]) each.read();
    await acks.until(1);
    await turn();
    assert.equal(acks.bodies.length, 1);
    acks.answer = (response) => response.end("{}");
    acks.pending[0]?.end("{}");
    await acks.until(3);
    assert.deepEqual(
      acks.bodies.map(({ service_name, revision }) => `${service_name} ${revision}`),
      ["a 1", "a 9", "b 5"],
    );
  });

  it("is lost without harm when the registry refuses it, and nothing where nobody asks", async () => {
    const { watch, next, acks } = await start();
    acks.answer = (response) => response.destroy();
    const a = watch("a");
    a.read();
    const stream = await next();
    stream.hello("w-1");
    for (const [revision, answer] of [
      [1, (response: ServerResponse) => response.writeHead(404).end("{}")],
      [2, (response: ServerResponse) => response.writeHead(500).end("<html>")],
      [3, (response: ServerResponse) => response.end("{}")],
    ] as const) {
      stream.goodbye("a", revision);
      assert.equal((await a.read()).position, `e:${revision}`);
      a.read();
      await acks.until(revision);
      acks.answer = answer;
    }
    stream.say("a", 4);
    assert.equal((await a.read()).position, "e:4");
    a.read();
    await turn();
    assert.equal(acks.bodies.length, 3);
  });

  it("is nothing on a stream that was not given a name", async () => {
    const { watch, next, acks } = await start();
    const a = watch("a");
    a.read();
    const stream = await next();
    stream.hello();
    stream.goodbye("a", 1);
    await a.read();
    a.read();
    await turn();
    assert.deepEqual(acks.bodies, []);
  });
});

/** A registry that says on its streams what the test says. */
async function start() {
  const streams: Stream[] = [];
  const acks = acknowledgements();
  let wake = (): void => {};
  let count = 0;
  const backend = await startBackend(async (request, response) => {
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    if (request.url === "/v1/watch/ack") return acks.take(JSON.parse(text), response);
    count++;
    streams.push(streamOn(response, JSON.parse(text)));
    wake();
  });
  const registry = http({ url: `http://127.0.0.1:${backend.port}` });
  opened.push(backend, registry);

  const watch = (service: string, since?: string, signal = new AbortController().signal) => {
    const updates = registry.watch?.(service, { since, signal })[Symbol.asyncIterator]();
    let pending: Promise<RegistryUpdate & { position?: string }> | undefined;
    const read = (): Promise<RegistryUpdate & { position?: string }> => {
      pending ??= updates?.next().then(({ value }) => value);
      const reading = pending as Promise<RegistryUpdate & { position?: string }>;
      reading.then(
        () => {
          pending = undefined;
        },
        () => {},
      );
      return reading;
    };
    return { read };
  };
  const next = async (): Promise<Stream> => {
    while (streams.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return streams.shift() as Stream;
  };
  return { watch, next, acks, count: () => count };
}

/** What was acknowledged, and how that is answered. */
function acknowledgements() {
  let wake = (): void => {};
  const acks = {
    bodies: [] as Record<string, unknown>[],
    pending: [] as ServerResponse[],
    answer: (response: ServerResponse): unknown => response.end("{}"),
    take(body: Record<string, unknown>, response: ServerResponse): void {
      acks.bodies.push(body);
      acks.pending.push(response);
      acks.answer(response);
      wake();
    },
    async until(count: number): Promise<void> {
      while (acks.bodies.length < count) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
  return acks;
}

type Stream = ReturnType<typeof streamOn>;

function streamOn(response: ServerResponse, asked: { services: Record<string, string | null>; acks?: boolean }) {
  let ended = false;
  const over = new Promise<void>((resolve) =>
    response.once("close", () => {
      ended = true;
      resolve();
    }),
  );
  const line = (text: string): void => void response.write(`${text}\n`);
  return {
    ...asked,
    response,
    over,
    isOver: () => ended,
    line,
    hello: (watch_id?: string) => line(JSON.stringify({ event: "hello", watch_id })),
    goodbye: (service_name: string, revision: number) => {
      const removed = [{ id: "gone", reason: "deregistered" }];
      line(JSON.stringify({ event: "delta", service_name, epoch: "e", revision, removed, ack: true }));
    },
    say: (service_name: string, revision: number) =>
      line(JSON.stringify({ event: "snapshot", service_name, epoch: "e", revision, instances: [] })),
  };
}

/** Lets what is on the sockets arrive. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 10));
}
