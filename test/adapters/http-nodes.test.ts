import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { setTimeout as pass } from "node:timers/promises";
import { afterEach, describe, it } from "vitest";
import { HttpNodes } from "../../src/adapters/http-nodes.js";
import { DiscoveryError, type ErrorCode } from "../../src/model/errors.js";
import { type HttpRequest, httpClient } from "../../src/runtime/http.js";
import { ManualClock } from "../../src/testing/index.js";
import { startBackend } from "../fakes/backend.js";

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

const { signal } = new AbortController();
const QUESTION: HttpRequest = { method: "GET", path: "/v1/services", signal };

/** What a node does with a question. */
type Answer = (response: ServerResponse) => void;
const well: Answer = (response) => void response.end("{}");
const silent: Answer = () => {};
const away: Answer = (response) => void response.writeHead(503).end();

describe("HttpNodes", () => {
  it("stays with one node while that answers, whatever it answers", async () => {
    const { client, asked } = await start([(response) => void response.writeHead(401).end(), well]);
    for (let times = 0; times < 3; times++) await assert.rejects(client().request(QUESTION), is("UNAUTHORIZED"));
    assert.deepEqual(asked(), [3, 0]);
  });

  it("goes to the next when a node is gone, and stays there though the first is back", async () => {
    const { client, nodes, asked } = await start([well, well]);
    const { request } = client();
    await request(QUESTION);
    await nodes[0]?.close();
    await request(QUESTION);
    nodes[0]?.server.listen(nodes[0].port, "127.0.0.1");
    await request(QUESTION);
    assert.deepEqual(asked(), [1, 2]);
  });

  it("asks the next where a node says that it cannot serve, and for all its clients at once", async () => {
    const { client, asked } = await start([away, well]);
    await client().request(QUESTION);
    await client(true).request(QUESTION);
    assert.deepEqual(asked(), [1, 2]);
  });

  it("ends no stream for a request that no node can take, however often it is repeated", async () => {
    const { client, asked } = await start([poisonable, poisonable]);
    const stream = client().lines(QUESTION);
    await stream.next();
    let ended = false;
    const next = stream.next().finally(() => (ended = true));
    for (let times = 0; times < 3; times++) {
      await assert.rejects(client().request({ ...QUESTION, path: "/poison" }), is("UNAVAILABLE"));
    }
    assert.deepEqual([asked(), ended], [[4, 3], false]);
    await client().request({ ...QUESTION, path: "/once" });
    assert.deepEqual(asked(), [5, 3]);
    next.catch(() => {});
  });

  it("leaves a node that fails where the next one knows an answer, be it a refusal, and takes all along", async () => {
    const broken: Answer = (response) => void response.writeHead(500).end();
    const { client, asked } = await start([broken, broken, well]);
    await client().request(QUESTION);
    await client().request(QUESTION);
    assert.deepEqual(asked(), [1, 1, 2]);
    const refused = await start([broken, (response) => void response.writeHead(404).end()]);
    for (let times = 0; times < 2; times++) await assert.rejects(refused.client().request(QUESTION), is("REJECTED"));
    assert.deepEqual(refused.asked(), [1, 2]);
  });

  it("asks on where the next node is gone, and goes to whoever answers", async () => {
    const broken: Answer = (response) => void response.writeHead(501).end();
    const { client, nodes, asked } = await start([broken, well, well]);
    await nodes[1]?.close();
    for (let times = 0; times < 2; times++) await client().request(QUESTION);
    assert.deepEqual(asked(), [1, 0, 2]);
  });

  it("leaves a node that is silent after a second", async () => {
    const { client, asked, clock } = await start([silent, well]);
    const answer = client().request(QUESTION);
    while (asked()[0] === 0) await clock.advance(0);
    await clock.advance(999);
    assert.equal(asked()[1], 0);
    await clock.advance(1);
    assert.equal((await answer).status, 200);
  });

  it("waits as long as its caller for an answer that takes its time", async () => {
    const held: ServerResponse[] = [];
    const { client, asked, clock } = await start([(response) => void held.push(response), well]);
    const answer = client(true).request(QUESTION);
    while (held.length === 0) await clock.advance(0);
    await clock.advance(60_000);
    held[0]?.end("{}");
    assert.equal((await answer).status, 200);
    assert.deepEqual(asked(), [1, 0]);
  });

  it("asks each once where all are away, and says so", async () => {
    const { client, asked } = await start([away, away, away]);
    await assert.rejects(client().request(QUESTION), is("UNAVAILABLE"));
    assert.deepEqual(asked(), [1, 1, 1]);
  });

  it("opens a stream at the next node where the first is gone or does not begin one", async () => {
    const { client, clock, nodes, asked } = await start([silent, silent, streaming]);
    await nodes[0]?.close();
    const lines = client().lines(QUESTION);
    const first = lines.next();
    while (asked()[1] === 0) await clock.advance(0);
    await clock.advance(1_000);
    assert.deepEqual((await first).value, { watch_id: "w" });
    await lines.return(undefined);
  });

  it("lets go of a stream that a silent node did not begin", async () => {
    let gone = false;
    const hanging: Answer = (response) => void response.once("close", () => (gone = true));
    const { client, clock, asked } = await start([hanging, streaming]);
    const lines = client().lines(QUESTION);
    const first = lines.next();
    while (asked()[0] === 0) await clock.advance(0);
    await clock.advance(1_000);
    await first;
    for (let tries = 0; !gone && tries < 200; tries++) await pass(5);
    assert.ok(gone, "its socket would be lost to all others");
    await lines.return(undefined);
  });

  it("ends the streams of a node that no longer answers, so that they are opened where it is asked now", async () => {
    let answer = well;
    const { client, asked } = await start([(response) => answer(response), streaming]);
    answer = streaming;
    const { lines, request } = client();
    const stream = lines(QUESTION);
    await stream.next();
    const next = assert.rejects(stream.next(), is("UNAVAILABLE"));
    answer = away;
    await request({ ...QUESTION, path: "/once" }).catch(() => {});
    await next;
    const again = lines(QUESTION);
    assert.deepEqual((await again.next()).value, { watch_id: "w" });
    assert.deepEqual(asked(), [2, 2]);
    await again.return(undefined);
  });

  it("leaves a node that is silent for longer than its caller has time, who asks the next one then", async () => {
    const { client, asked, clock } = await start([silent, well]);
    const halt = new AbortController();
    const answer = assert.rejects(client().request({ ...QUESTION, signal: halt.signal }), is("TIMEOUT"));
    while (asked()[0] === 0) await clock.advance(0);
    halt.abort(new DiscoveryError("TIMEOUT", "No answer within 500 ms"));
    await answer;
    assert.equal((await client().request(QUESTION)).status, 200);
  });

  it("takes the caller's own abort for what it is, and leaves nobody for it", async () => {
    const { client, asked, clock } = await start([silent, well]);
    const halt = new AbortController();
    const answer = assert.rejects(client().request({ ...QUESTION, signal: halt.signal }), /enough/);
    while (asked()[0] === 0) await clock.advance(0);
    halt.abort(new Error("enough"));
    await answer;
    assert.deepEqual(asked(), [1, 0]);
  });
});

/** Begins a stream, or answers what is no stream at all. */
function streaming(response: ServerResponse): void {
  if (response.req.url === "/once") response.end("{}");
  else response.write('{"watch_id":"w"}\n');
}

/** Serves everything but one request. */
function poisonable(response: ServerResponse): void {
  if (response.req.url === "/poison") response.writeHead(500).end();
  else streaming(response);
}

async function start(answers: readonly Answer[]) {
  const nodes = await Promise.all(answers.map((answer) => startBackend((_, response) => answer(response))));
  const clock = new ManualClock();
  const all = new HttpNodes(nodes.length, clock);
  opened.push(...nodes);
  const client = (patient = false) => {
    const clients = nodes.map(({ port }) => httpClient({ name: "registry", origin: `http://127.0.0.1:${port}` }));
    const made = all.client(clients, patient);
    opened.push(made);
    return made;
  };
  return { client, nodes, clock, asked: () => nodes.map(({ requests }) => requests.length) };
}

function is(code: ErrorCode): (error: unknown) => boolean {
  return (error) => DiscoveryError.is(error, code);
}
