import assert from "node:assert/strict";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { afterEach, describe, it } from "vitest";
import { type ConsulOptions, consul } from "../../src/adapters/consul.js";
import { DiscoveryError, type ErrorCode } from "../../src/model/errors.js";
import { defineInstance } from "../../src/model/instance.js";
import type { RegistryUpdate } from "../../src/model/update.js";
import type { Registry } from "../../src/registry/registry.js";
import { haltSignal } from "../../src/runtime/deadline.js";
import { ManualClock } from "../../src/testing/index.js";
import { startBackend } from "../fakes/backend.js";

const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

describe("a watch of consul()", () => {
  it("waits at the index it was told, for as long as it was asked to", async () => {
    const { watch, asked } = await start({ waitMs: 8_000 });
    watch().read();
    (await asked()).answer(7, [record()]);
    assert.equal((await asked()).path, "/v1/health/service/orders?index=7&wait=8000ms");
  });

  it("begins anew when the index goes back", async () => {
    const { watch, asked, clock } = await start();
    const { read } = watch();
    const [first, second] = [read(), read()];
    (await asked()).answer(5_000, [record()]);
    const { epoch } = await first;
    (await asked()).answer(13, [record({ Port: 2 })]);
    assert.notEqual((await second).epoch, epoch);
    await clock.advance(200);
    assert.equal((await asked()).path, "/v1/health/service/orders");
  });

  it("takes an index that stands still under other contents for one that went back", async () => {
    const { list, asked } = await start();
    const [first, second] = [list(), list()];
    (await asked()).answer(13, [record()]);
    const { epoch } = await first;
    (await asked()).answer(13, [record()]);
    await second;
    const third = list();
    (await asked()).answer(13, [record({ Port: 2 })]);
    assert.notEqual((await third).epoch, epoch);
  });

  it("takes an index below 1 for 1, and asks no more than twice a second though it is answered at once", async () => {
    const { watch, asked, clock } = await start();
    watch().read();
    (await asked()).answer(0, [record()]);
    for (let request = 1; request < 12; request++) {
      const next = asked();
      while (!(await Promise.race([next, turns(5)]))) await clock.advance(100);
      const { path, answer } = await next;
      assert.match(path, /index=1&/);
      answer(0, [record()]);
    }
    assert.ok(clock.now() >= 4_500, `12 requests in ${clock.now()} ms`);
  });

  it("says PROTOCOL of an answer without index", async () => {
    const { watch, asked } = await start();
    const reading = watch().read();
    (await asked()).answer(undefined, [record()]);
    await rejects(reading, "PROTOCOL", /sent no X-Consul-Index/);
  });

  it("tells nothing of a wake-up that changed nothing", async () => {
    const { watch, asked } = await start();
    const { read } = watch();
    const first = read();
    (await asked()).answer(7, [record()]);
    assert.equal((await first).type, "reset");
    (await asked()).answer(9, [record({ ModifyIndex: 9 })]);
    assert.equal((await read()).type, "current");
  });

  it("is one request, however many watch the service", async () => {
    const { watch, asked, count } = await start();
    const watches = Array.from({ length: 20 }, () => watch());
    const first = watches.map(({ read }) => read());
    (await asked()).answer(7, [record()]);
    for (const update of await Promise.all(first)) assert.equal(update.type, "reset");
    const held = await asked();
    await turns(20);
    assert.equal(count(), 2);
    const late = watch();
    assert.equal((await late.read()).type, "reset");
    const told = (await first[0]) as RegistryUpdate & { type: "reset" };
    assert.equal((await watch("orders", told.position).read()).type, "current");
    assert.equal(count(), 2);
    held.answer(8, [record(), record({ ID: "b", Port: 2 })]);
    for (const { read } of [...watches, late]) {
      const update = await read();
      assert.equal(update.type === "reset" && update.instances.length, 2);
    }
  });

  it("lets its request go when the last watcher does", async () => {
    const { watch, asked } = await start();
    const halts = [new AbortController(), new AbortController()] as const;
    const watches = halts.map(({ signal }) => watch("orders", undefined, signal));
    const reading = watches.map(({ read }) => read());
    (await asked()).answer(7, [record()]);
    await Promise.all(reading);
    const held = await asked();
    halts[0].abort(new Error("enough"));
    await turns(20);
    assert.equal(held.isOver(), false);
    halts[1].abort(new Error("enough"));
    while (!held.isOver()) await turns(1);
  });

  it("gives up a request that outlasts the wait, its jitter and a margin, and a new watch begins without index", async () => {
    const { watch, asked, clock } = await start({ waitMs: 16_000 });
    const { read } = watch();
    const first = read();
    (await asked()).answer(7, [record()]);
    await first;
    await asked(); // and no word more: the other end of the connection is gone
    const reading = read();
    await clock.advance(19_999);
    await turns(5);
    await clock.advance(1);
    await rejects(reading, "TIMEOUT", /blocking query of Consul http:.* for orders/);
    watch().read();
    assert.equal((await asked()).path, "/v1/health/service/orders");
  });

  it("is one of many that take turns where there are more services than connections for them", async () => {
    const { watch, asked } = await start({ waitMs: 30_000 });
    for (let service = 0; service < 256; service++) watch(`s${service}`).read();
    const held: string[] = [];
    for (let begun = 0; begun < 256 || held.length === 0; ) {
      const { path, answer } = await asked();
      if (path.includes("index=")) {
        held.push(path);
        continue;
      }
      answer(7, [record()]);
      begun++;
    }
    for (const path of held) assert.match(path, /wait=15000ms$/);
  });

  it("begins later each time while Consul answers but will not let it wait, and soon again once it was let", async () => {
    const { watch, asked, clock, count } = await start();
    const begun = async (pauseMs: number) => {
      const { read } = watch();
      const [first, second] = [read(), read()];
      const before = count();
      await turns(20);
      if (pauseMs > 0) {
        await clock.advance(pauseMs - 1);
        await turns(20);
        assert.equal(count(), before);
        await clock.advance(1);
      }
      (await asked()).answer(7, [record()]);
      await first;
      return { held: await asked(), second };
    };
    for (const [pauseMs, refuse] of [
      [0, tooMany],
      [500, reset],
      [800, tooMany],
    ] as const) {
      const { held, second } = await begun(pauseMs);
      refuse(held.response);
      await assert.rejects(second);
    }
    const { held, second } = await begun(1_280);
    held.answer(8, [record({ Port: 2 })]);
    await second;
    const third = watch().read();
    await third;
    tooMany((await asked()).response);
    await turns(20);
    await begun(500);
  });

  it("fails with all its watchers, on a reset connection and a 429 alike", async () => {
    for (const [fail, code] of [
      [reset, "UNAVAILABLE"],
      [tooMany, "OVERLOADED"],
    ] as const) {
      const { watch, asked } = await start();
      const readings = [watch().read(), watch().read()];
      fail((await asked()).response);
      for (const reading of readings) {
        await rejects(reading, code);
        assert.ok(await reading.catch((error: DiscoveryError) => error.retryable));
      }
    }
  });
});

describe("consul() values of one process", () => {
  it("ask between them one blocking query per service", async () => {
    const one = await start();
    const other = one.another();
    const readings = [one.watch().read(), other.watch().read()];
    (await one.asked()).answer(7, [record()]);
    for (const update of await Promise.all(readings)) assert.equal(update.type, "reset");
    await one.asked();
    assert.equal((await other.watch().read()).type, "reset");
    await turns(20);
    assert.equal(one.count(), 2);
  });

  it("ask apart with another token, datacenter, wait or clock", async () => {
    const one = await start({ token: "a", datacenter: "eu", waitMs: 8_000 });
    const others = [{ token: "b" }, { datacenter: "us" }, { waitMs: 9_000 }, { clock: new ManualClock() }];
    for (const { watch } of [one, one.another(), ...others.map(one.another)]) watch().read();
    for (let own = 0; own <= others.length; own++) (await one.asked()).answer(7, [record()]);
    for (let own = 0; own <= others.length; own++) assert.match((await one.asked()).path, /index=7/);
    await turns(20);
    assert.equal(one.count(), 2 * (others.length + 1));
  });

  it("close one by one: who is closed has its watches ended, the others are still told", async () => {
    const one = await start();
    const other = one.another();
    const [mine, others] = [one.watch(), other.watch()];
    const first = [mine.read(), others.read()];
    (await one.asked()).answer(7, [record()]);
    await Promise.all(first);
    const held = await one.asked();
    const reading = mine.read();
    await one.registry.close();
    await rejects(reading, "CLOSED");
    await rejects(one.watch().read(), "CLOSED");
    held.answer(8, [record({ Port: 2 })]);
    assert.equal((await others.read()).type, "reset");
    assert.equal(one.count(), 2);
  });

  it("end their connections with the last one's close, and a second close of one counts for nothing", async () => {
    const one = await start();
    const other = one.another();
    const [mine, others] = [one.watch(), other.watch()];
    const first = [mine.read(), others.read()];
    (await one.asked()).answer(7, [record()]);
    const [{ epoch }] = (await Promise.all(first)) as [RegistryUpdate, RegistryUpdate];
    const held = await one.asked();
    await one.registry.close();
    await one.registry.close();
    await turns(20);
    assert.equal(held.isOver(), false);
    await other.registry.close();
    await rejects(others.read(), "CLOSED");
    while (!held.isOver()) await turns(1);
    const next = one.another().watch().read();
    const anew = await one.asked();
    assert.equal(anew.path, "/v1/health/service/orders");
    anew.answer(7, [record()]);
    assert.notEqual((await next).epoch, epoch);
  });

  it("all hear of a query that fails, and begin one new one", async () => {
    const one = await start();
    const all = [one, one.another()];
    const readings = all.map(({ watch }) => watch().read());
    reset((await one.asked()).response);
    for (const reading of readings) await rejects(reading, "UNAVAILABLE");
    const anew = all.map(({ watch }) => watch().read());
    (await one.asked()).answer(7, [record()]);
    await Promise.all(anew);
    await one.asked();
    await turns(20);
    assert.equal(one.count(), 3);
  });

  it("know each other's positions", async () => {
    const one = await start();
    const listing = one.list();
    (await one.asked()).answer(7, [record()]);
    const { position } = (await listing) as RegistryUpdate & { type: "reset" };
    const again = one.another().list(position);
    (await one.asked()).answer(7, [record()]);
    assert.deepEqual(await again, { type: "current", position });
  });
});

describe("the history of a Consul", () => {
  it("is not told backwards to whoever listed while the query was about to ask again", async () => {
    const { watch, list, asked } = await start();
    const { read } = watch();
    const first = read();
    (await asked()).answer(7, [record()]);
    await first;
    const held = await asked();
    const listing = list();
    (await asked()).answer(8, [record({ Port: 2 })]);
    const { position } = (await listing) as RegistryUpdate & { type: "reset" };
    const late = watch("orders", position);
    assert.deepEqual(await late.read(), { type: "current", position });
    held.answer(9, [record({ Port: 3 })]);
    const update = await late.read();
    assert.equal(update.type === "reset" && update.instances[0]?.port, 3);
  });

  it("begins anew once, though several services notice", async () => {
    const { list, asked } = await start();
    const told = async (index: number) => {
      const services = ["orders", "carts", "users"];
      const listings = services.map((service) => list(undefined, service));
      for (const _ of services) (await asked()).answer(index, [record()]);
      return new Set((await Promise.all(listings)).map(({ epoch }) => epoch));
    };
    const before = await told(5_000);
    const after = await told(13);
    assert.equal(after.size, 1);
    assert.notDeepEqual(after, before);
  });

  it("has no positions where the index stands at 1, under whatever contents", async () => {
    const { watch, list, asked, clock } = await start();
    const { read } = watch();
    const first = read();
    (await asked()).answer(0, [record()]);
    await first;
    (await asked()).answer(0, [record({ Port: 2 })]);
    const second = await read();
    assert.equal(second.type === "reset" && second.instances[0]?.port, 2);
    await clock.advance(200);
    await asked();
    const listing = list(second.type === "reset" ? second.position : "");
    (await asked()).answer(0, [record({ Port: 3 })]);
    assert.equal((await listing).type, "reset");
  });
});

describe("consul()", () => {
  it("says that it may not read, of an empty answer that Consul says it filtered", async () => {
    const { list, asked } = await start();
    const listing = list();
    const { response } = await asked();
    response.writeHead(200, { "x-consul-index": "7", "x-consul-results-filtered-by-acls": "true" }).end("[]");
    await rejects(listing, "UNAUTHORIZED", /service:read/);
  });

  it("takes a check that Consul does not have for a lease it does not know, in old words and new", async () => {
    for (const [status, text] of [
      [500, 'CheckID "mcp:a:1" does not have associated TTL'],
      [404, 'Unknown check ID "mcp:a:1". Ensure that the check ID is passed, not the check name.'],
    ] as const) {
      const { registry, asked, signal } = await start();
      const lease = leaseOf(3_000);
      const renewing = registry.renew([{ lease }], { signal });
      (await asked()).response.writeHead(status).end(text);
      (await asked()).response.writeHead(404).end('{"AggregatedStatus":"critical","Service":null}');
      assert.deepEqual((await renewing).unknown, [{ lease, reason: "unknown" }]);
    }
  });

  it("lets no beat be missed for the refusal of another", async () => {
    const { registry, asked, signal } = await start();
    const leases = [leaseOf(3_000), leaseOf(3_001)];
    const renewing = registry.renew(
      leases.map((lease) => ({ lease })),
      { signal },
    );
    for (let beat = 0; beat < 2; beat++) {
      const { path, response } = await asked();
      if (path.includes("3000")) response.writeHead(403).end("Permission denied");
      else response.end();
    }
    const { unknown } = await renewing;
    assert.deepEqual(
      unknown.map(({ lease }) => lease),
      [leases[0]],
    );
    assert.match(unknown[0]?.reason ?? "", /service:write/);
  });

  it("sends a thousand beats sixteen at a time", async () => {
    let most = 0;
    let now = 0;
    const backend = await startBackend((_, response) => {
      most = Math.max(most, ++now);
      setImmediate(() => {
        now--;
        response.end();
      });
    });
    opened.push(backend);
    const registry = consul({ url: `http://127.0.0.1:${backend.port}` });
    opened.push(registry);
    const { signal } = haltSignal();
    const beats = Array.from({ length: 1_000 }, (_, index) => ({ lease: leaseOf(1_000 + index) }));
    assert.deepEqual((await registry.renew(beats, { signal })).unknown, []);
    assert.equal(backend.requests.length, 1_000);
    assert.ok(most > 1 && most <= 16, `${most} at once`);
  });

  it("shows its token in a header, and names its datacenter wherever services are read, waiting or not", async () => {
    const { registry, watch, list, asked, signal } = await start({ token: "secret", datacenter: "eu" });
    void list();
    const listed = await asked();
    listed.answer(7, [record()]);
    watch().read();
    const begun = await asked();
    begun.answer(7, [record()]);
    const held = await asked();
    void registry.services?.({ signal }).catch(() => {});
    const named = await asked();
    void registry.renew([{ lease: leaseOf(3_000) }], { signal }).catch(() => {});
    const beat = await asked();
    for (const { path } of [listed, begun, held, named]) assert.match(path, /[?&]dc=eu/);
    assert.doesNotMatch(beat.path, /dc=/);
    for (const { path, headers } of [listed, begun, held, named, beat]) {
      assert.equal(headers["x-consul-token"], "secret");
      assert.doesNotMatch(path, /secret/);
    }
  });

  it("does not follow a redirect, which would take the token elsewhere", async () => {
    const { list, asked, count } = await start({ token: "secret" });
    const listing = list();
    (await asked()).response.writeHead(302, { location: "/v1/elsewhere" }).end();
    await rejects(listing, "PROTOCOL", /302.*not followed/);
    assert.equal(count(), 1);
  });

  it("says what to do when something else listens there", async () => {
    for (const [answer, pattern] of [
      [(response: ServerResponse) => response.end("<html>hello</html>"), /no JSON.*HTTP port of a Consul agent/],
      [(response: ServerResponse) => response.writeHead(404).end(), /with 404.*HTTP port of a Consul agent/],
      [(response: ServerResponse) => response.writeHead(404).end("404 page not found"), /found; is that the HTTP port/],
      [(response: ServerResponse) => response.socket?.end("SSH-2.0-OpenSSH_9.2\r\n"), /speaks no HTTP/],
    ] as const) {
      const { list, asked } = await start();
      const listing = list();
      answer((await asked()).response);
      await rejects(listing, "PROTOCOL", pattern);
    }
  });

  it("refuses options it does not know", () => {
    assert.throws(() => consul({ tokn: "x" } as ConsulOptions), /did you mean token/);
    assert.throws(() => consul({ waitMs: 10 }), /consul\.waitMs must be a number from 1000 to 600000/);
    assert.throws(() => consul({ url: "127.0.0.1:8500" }), /must be an http:\/\/ or https:\/\/ URL/);
  });
});

interface Asked {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly response: ServerResponse;
  answer(index: number | undefined, records: readonly unknown[]): void;
  isOver(): boolean;
}

/** A Consul whose every answer is the test's. */
async function start(options: Omit<ConsulOptions, "url" | "clock"> = {}) {
  const waiting: Asked[] = [];
  let arrived = (): void => {};
  const backend = await startBackend((request, response) => {
    waiting.push(askedBy(request, response));
    arrived();
  });
  opened.push(backend);
  const clock = new ManualClock();
  const halt = haltSignal();
  opened.push({ close: async () => halt.abort() });
  const { signal } = halt;
  const another = (different: ConsulOptions = {}) => {
    const registry = consul({ url: `http://127.0.0.1:${backend.port}`, clock, ...options, ...different });
    opened.push(registry);
    return readsOf(registry, signal);
  };
  return {
    ...another(),
    another,
    clock,
    signal,
    count: () => backend.requests.length,
    asked: async (): Promise<Asked> => {
      while (waiting.length === 0) {
        await new Promise<void>((resolve) => {
          arrived = resolve;
        });
      }
      return waiting.shift() as Asked;
    },
  };
}

function readsOf(registry: Registry, signal: AbortSignal) {
  return {
    registry,
    list: (since?: string, service = "orders") => registry.list(service, { since, signal }),
    watch: (service = "orders", since?: string, own = signal) => {
      const updates = registry.watch?.(service, { since, signal: own })[Symbol.asyncIterator]();
      const read = async (): Promise<RegistryUpdate> => (await updates?.next())?.value;
      return {
        read: () => {
          const reading = read();
          reading.catch(() => {}); // the end of the test ends it
          return reading;
        },
      };
    },
  };
}

function askedBy({ url = "", headers }: IncomingMessage, response: ServerResponse): Asked {
  return {
    path: url,
    headers,
    response,
    answer: (index, records) => {
      response.writeHead(200, index === undefined ? {} : { "x-consul-index": String(index) });
      response.end(JSON.stringify(records));
    },
    isOver: () => response.destroyed,
  };
}

function record(fields: object = {}): unknown {
  const service = { ID: "a", Service: "orders", Address: "127.0.0.1", Port: 1, Meta: null, Tags: [], CreateIndex: 5 };
  return { Node: { Node: "n", Address: "127.0.0.1" }, Service: { ...service, ...fields }, Checks: [] };
}

function leaseOf(port: number) {
  const instance = defineInstance({ service: "orders", host: "127.0.0.1", port });
  return { id: `mcp:${instance.id}:1`, instance, ttlMs: 9_000, heartbeatMs: 3_000 };
}

function reset(response: ServerResponse): void {
  response.socket?.resetAndDestroy();
}

function tooMany(response: ServerResponse): void {
  response.writeHead(429).end("Your IP is issuing too many concurrent connections");
}

async function turns(count: number): Promise<undefined> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

function rejects(call: Promise<unknown>, code: ErrorCode, pattern = /./): Promise<void> {
  return assert.rejects(call, (error) => DiscoveryError.is(error, code) && pattern.test(error.message));
}
