import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { afterEach, describe, it } from "vitest";
import { etcd } from "../../src/adapters/etcd.js";
import { DiscoveryError, defineInstance, type Lease } from "../../src/index.js";
import { systemClock, turn } from "../../src/runtime/clock.js";
import { ManualClock } from "../../src/testing/index.js";
import { startBackend } from "../fakes/backend.js";

const HEADER = { cluster_id: "1", revision: "7" };
/** As much as an instance may say of itself: sixty such are more than etcd takes at once. */
const LONG = {
  metadata: Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`key-${index}`, "\u8a9e".repeat(1_000)])),
  tags: Array.from({ length: 64 }, (_, index) => `${index}`.padEnd(128, "x")),
};
/** Who is under way when others come. */
const BUSY = "first";
const opened: { close(): Promise<unknown> }[] = [];

/** A transaction as it came, and what it is answered through. */
interface Asked {
  readonly body: { readonly compare: readonly unknown[]; readonly success: readonly Operation[] };
  /** The ids of those it enters. */
  readonly ids: readonly string[];
  readonly characters: number;
  readonly response: ServerResponse;
}

interface Operation {
  readonly request_put?: { readonly key: string; readonly lease?: string };
}

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

describe("EtcdEntries", () => {
  it("sends one that comes alone at once, and those who come meanwhile in one transaction", async () => {
    const { asked, enter, meanwhile } = await start(done);
    const { later, free } = await meanwhile(() => enter("b", "c", "d"));
    free();
    await Promise.all(later);
    assert.deepEqual(
      asked.map(({ ids }) => ids),
      [["first"], ["b", "c", "d"]],
    );
  });

  it("waits until there are as many as still to come, so that many go together, and for nobody whose lease takes longer", async () => {
    const { asked, enter, grants } = await start(done, { granting: "by hand", clock: new ManualClock() });
    const leases = enter("a", "b", "c", "d", "e");
    while (grants.length < 5) await turn();
    const grant = async (count: number): Promise<void> => {
      for (const each of grants.splice(0, count)) each();
      for (let turns = 0; turns < 300; turns++) await turn();
    };
    await grant(2);
    assert.equal(asked.length, 0);
    await grant(1);
    while (asked.length === 0) await turn();
    assert.deepEqual(
      asked.map(({ ids }) => ids.length),
      [3],
    );
    await grant(2);
    await Promise.all(leases);
  });

  it("waits for a moment, not for as long as etcd may keep others from their leases", async () => {
    const clock = new ManualClock();
    const { asked, enter, grants } = await start(done, { granting: "by hand", clock });
    const leases = enter("a", "b", "c", "d");
    while (grants.length < 4) await turn();
    for (const each of grants.splice(0, 1)) each();
    for (let turns = 0; turns < 300; turns++) await turn();
    assert.equal(asked.length, 0);
    await clock.advance(100);
    while (asked.length === 0) await turn();
    assert.deepEqual(asked[0]?.ids, ["a"]);
    for (const each of grants) each();
    await Promise.all(leases);
  });

  it("never enters an id twice in one transaction, which would find it free for both", async () => {
    const { asked, enter, meanwhile } = await start(done);
    const { later, free } = await meanwhile(() => enter("a", "b", "a", "c"));
    free();
    await Promise.all(later);
    assert.deepEqual(
      asked.slice(1).map(({ ids }) => ids),
      [["a", "b", "c"], ["a"]],
    );
  });

  it("does not enter who has given up before it was asked for", async () => {
    const { asked, enter, meanwhile } = await start(done);
    const halt = new AbortController();
    const { later, free } = await meanwhile(() => [...enter.until(halt.signal, "gone"), ...enter("stays")]);
    halt.abort(new Error("enough"));
    await assert.rejects(later[0] as Promise<Lease>, /enough/);
    free();
    await later[1];
    assert.deepEqual(asked.at(-1)?.ids, ["stays"]);
  });

  it("lets the others in when one of them gives up while all are asked for", async () => {
    const { asked, enter, meanwhile } = await start(done);
    const halt = new AbortController();
    const { later, free } = await meanwhile(() => [...enter.until(halt.signal, "gone"), ...enter("stays")]);
    free();
    while (asked.length < 2) await turn();
    halt.abort(new Error("enough"));
    await assert.rejects(later[0] as Promise<Lease>, /enough/);
    assert.equal((await later[1])?.instance.id, "stays");
    assert.deepEqual(asked.at(-1)?.ids, ["gone", "stays"]);
  });

  it("asks for each alone where etcd takes none of them because of one", async () => {
    const { asked, enter, meanwhile } = await start((each) => {
      if (!each.ids.includes("lost")) return done(each);
      return each.response.writeHead(404).end('{"code":5,"message":"etcdserver: requested lease not found"}');
    });
    const { later, free } = await meanwhile(() => enter("a", "lost", "b"));
    free();
    await rejects(later[1], "LEASE_LOST");
    await Promise.all([later[0], later[2]]);
    assert.deepEqual(
      asked.slice(2).map(({ ids }) => ids),
      [["a"], ["lost"], ["b"]],
    );
  });

  it("asks for nobody again where etcd has too much to do", async () => {
    const { asked, enter, meanwhile } = await start((each) => {
      return each.response.writeHead(429).end('{"code":8,"message":"etcdserver: too many requests"}');
    });
    const { later, free } = await meanwhile(() => enter("a", "b", "c"));
    free();
    for (const each of later) await rejects(each, "OVERLOADED");
    assert.equal(asked.length, 2);
  });

  it("asks for nobody again where the answer was lost, and enters those who come after that", async () => {
    const { asked, enter, meanwhile } = await start((each) => {
      if (each.ids.includes("a")) each.response.destroy();
      else done(each);
    });
    const { later, free } = await meanwhile(() => enter("a", "b"));
    free();
    for (const each of later) await rejects(each, "UNAVAILABLE");
    await Promise.all(enter("c"));
    assert.deepEqual(
      asked.slice(1).map(({ ids }) => ids),
      [["a", "b"], ["c"]],
    );
  });

  it("asks for no more in one transaction than etcd allows, be they many or long", async () => {
    const { asked, enter, meanwhile } = await start(done);
    const many = Array.from({ length: 300 }, (_, index) => `many-${index}`);
    const { later, free } = await meanwhile(() => [...enter(...many), ...enter.long(100)]);
    free();
    await Promise.all(later);
    for (const { body, characters } of asked) {
      assert.ok(body.success.length <= 128 && body.compare.length <= 128, String(body.success.length));
      assert.ok(characters <= 1.5 * 1024 * 1024, String(characters));
    }
    assert.equal(asked.flatMap(({ ids }) => ids).length, 401);
    assert.ok(asked.length <= 10, String(asked.length));
  });
});

/** The answer to who is let in, a while later: time for others to come. */
async function done({ response }: Asked): Promise<void> {
  for (let turns = 0; turns < 200; turns++) await turn();
  const kv = { key: "", value: Buffer.from("w".repeat(64)).toString("base64") };
  response.end(JSON.stringify({ header: HEADER, succeeded: true, responses: [{ response_range: { kvs: [kv] } }] }));
}

/** A gateway that grants every lease; transactions are answered by the test, but for those of `meanwhile`. */
async function start(answer: (asked: Asked) => unknown, { granting = "at once", clock = systemClock } = {}) {
  const asked: Asked[] = [];
  const held: Asked[] = [];
  const grants: (() => void)[] = [];
  let granted = 0;
  const backend = await startBackend(async (request, response) => {
    const body = await text(request);
    if (request.url === "/v3/lease/grant") {
      const grant = (): unknown => response.end(JSON.stringify({ header: HEADER, ID: String(++granted), TTL: "9" }));
      if (granting === "at once") grant();
      else grants.push(grant);
      return;
    }
    const transaction = JSON.parse(body) as Asked["body"];
    const ids = transaction.success.flatMap(({ request_put }) => idIn(request_put?.key) ?? []);
    const each = { body: transaction, ids, characters: body.length, response };
    asked.push(each);
    if (ids.includes(BUSY)) held.push(each);
    else answer(each);
  });
  opened.push(backend);
  const registry = etcd({ endpoints: `http://127.0.0.1:${backend.port}`, clock });
  opened.push(registry);
  const register = (id: string, signal: AbortSignal, more = {}): Promise<Lease> => {
    const instance = defineInstance({ id, service: "orders", host: "127.0.0.1", port: 80, ...more });
    const lease = registry.register(instance, { ttlMs: 9_000, alone: true, signal });
    lease.catch(() => {});
    return lease;
  };
  const until = (signal: AbortSignal, ...ids: string[]) => ids.map((id) => register(id, signal));
  const enter = (...ids: string[]) => ids.map((id) => register(id, new AbortController().signal));
  const long = (count: number) =>
    Array.from({ length: count }, (_, index) => register(`long-${index}`, new AbortController().signal, LONG));
  /** What comes while a transaction is under way, which is answered when it is let go. */
  const meanwhile = async (come: () => readonly Promise<Lease>[]) => {
    enter(BUSY);
    while (asked.length === 0) await turn();
    const later = come();
    while (granted < 1 + later.length) await turn();
    for (let turns = 0; turns < 300; turns++) await turn();
    assert.equal(asked.length, 1);
    return { later, free: () => void held.map(done) };
  };
  return { asked, grants, meanwhile, enter: Object.assign(enter, { until, long }) };
}

function idIn(key = ""): string | undefined {
  return /instances\/([^/]+)\//.exec(Buffer.from(key, "base64").toString("utf8"))?.[1];
}

function rejects(lease: Promise<Lease> | undefined, code: DiscoveryError["code"]): Promise<void> {
  return assert.rejects(lease ?? Promise.resolve(), (error) => DiscoveryError.is(error, code));
}
