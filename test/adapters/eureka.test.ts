import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { type EurekaOptions, eureka } from "../../src/adapters/eureka.js";
import { DiscoveryError, type ErrorCode } from "../../src/model/errors.js";
import { haltSignal } from "../../src/runtime/deadline.js";
import { ManualClock } from "../../src/testing/index.js";
import { type Backend, startBackend } from "../fakes/backend.js";
import { keep } from "../opened.js";

const { signal } = haltSignal();

describe("eureka() and passwords", () => {
  it("shows the user and password of its URL to the server, and to nobody else", async () => {
    const shown: unknown[] = [];
    const { port } = await start(401, (headers) => shown.push(headers["authorization"]));
    const registry = keep(eureka({ url: `http://sam:s%40crt@127.0.0.1:${port}/eureka` }));
    const error = await failure(registry.list("orders", { signal }), "UNAUTHORIZED");
    assert.deepEqual(shown, [`Basic ${Buffer.from("sam:s@crt").toString("base64")}`]);
    assert.match(error.message, /answered GET \/eureka\/apps\/ORDERS with 401; are user and password in the URL/);
    assert.doesNotMatch(`${error.stack} ${JSON.stringify(error)} ${registry.name}`, /s@crt|s%40crt|sam/);
  });

  it("shows a token where the URL has no user", async () => {
    const shown: unknown[] = [];
    const { port } = await start(401, (headers) => shown.push(headers["authorization"]));
    await failure(list({ url: `http://127.0.0.1:${port}/eureka`, token: "t0k3n" }), "UNAUTHORIZED");
    assert.deepEqual(shown, ["Bearer t0k3n"]);
  });

  for (const options of [
    { url: "ftp://u:secret@h/eureka" },
    { url: "http://u:secret@h:notaport/eureka" },
    { url: "http://h/eureka?password=secret" },
    { urls: [] },
    { url: "http://h", urls: ["http://h"] },
    { pollMs: 1 },
    { healthCheckUrl: "health" },
    { statusPageUrl: "javascript:alert()" },
    { fetchInterval: 30 } as EurekaOptions,
  ] satisfies EurekaOptions[]) {
    it(`refuses ${JSON.stringify(options).replaceAll("secret", "…")}`, () => {
      assert.throws(
        () => keep(eureka(options)),
        (error) => DiscoveryError.is(error, "INVALID_OPTION") && !error.message.includes("secret"),
      );
    });
  }
});

describe("what Eureka refuses", () => {
  it("is a matter of waiting while it has just started: lists are closed, single instances are not", async () => {
    const { port } = await start((path) => (path.includes("/instances") ? 404 : 403));
    const error = await failure(list({ url: `http://127.0.0.1:${port}/eureka` }), "UNAVAILABLE");
    assert.match(error.message, /with 403; it has just started/);
  });

  it("is a matter of CSRF protection where writing is", async () => {
    const { port } = await start((path) => (path.includes("/instances") ? 404 : 403));
    const registry = keep(eureka({ url: `http://127.0.0.1:${port}/eureka` }));
    const lease = { id: "x:1", instance: instanceLike(), ttlMs: 1, heartbeatMs: 1 };
    const { unknown } = await registry.renew([{ lease: lease as never }], { signal });
    assert.match(String(unknown[0]?.reason), /PUT \/eureka\/apps\/ORDERS\/x with 403; .*CSRF/);
  });

  it("is no word about a service where everything is unknown: there is no Eureka", async () => {
    const { port } = await start(() => 404);
    const error = await failure(list({ url: `http://127.0.0.1:${port}/v2` }), "PROTOCOL");
    assert.match(error.message, /GET \/v2\/vips\/none with 404; is there a Eureka\? Spring's path is \/eureka/);
  });

  it("is a login page at the wrong door", async () => {
    const { port } = await start(302);
    const error = await failure(list({ url: `http://127.0.0.1:${port}/eureka` }), "PROTOCOL");
    assert.match(error.message, /with 302; redirects are not followed, be it to a login/);
  });

  it("is no Eureka's answer if it is XML", async () => {
    const { port } = await start(200, undefined, "<applications></applications>");
    const error = await failure(list({ url: `http://127.0.0.1:${port}/eureka` }), "PROTOCOL");
    assert.match(error.message, /no JSON; is there a Eureka\?/);
  });
});

describe("peers", () => {
  it("are asked in turn until one answers, which then is the one", async () => {
    const [away, works] = [await start(503), await start(404)];
    const registry = keep(eureka({ urls: [away, works].map(({ port }) => `http://127.0.0.1:${port}/eureka`) }));
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(await registry.list("orders", { signal }), { type: "absent" });
    }
    assert.equal(away.requests.length, 1);
  });

  it("are each asked once, and the last error told, if none answers", async () => {
    const peers = [await start(503), await start(500)];
    const call = list({ urls: peers.map(({ port }) => `http://127.0.0.1:${port}/eureka`) });
    assert.match((await failure(call, "UNAVAILABLE")).message, /with 500/);
    assert.deepEqual(
      peers.map(({ requests }) => requests.length),
      [1, 1],
    );
  });

  it("are not asked for what one refused", async () => {
    const peers = [await start(401), await start(404)];
    await failure(list({ urls: peers.map(({ port }) => `http://127.0.0.1:${port}/eureka`) }), "UNAUTHORIZED");
    assert.equal(peers[1]?.requests.length, 0);
  });

  it("that hang are left after five seconds", async () => {
    const clock = new ManualClock();
    const [hangs, works] = [await start("never"), await start(404)];
    const urls = [hangs, works].map(({ port }) => `http://127.0.0.1:${port}/eureka`);
    const call = list({ urls, clock });
    while (hangs.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(5_000);
    assert.deepEqual(await call, { type: "absent" });
  });

  it("are stayed with by whoever gives up a question for reasons of its own", async () => {
    const [hangs, other] = [await start("never"), await start(404)];
    const registry = keep(eureka({ urls: [hangs, other].map(({ port }) => `http://127.0.0.1:${port}/eureka`) }));
    for (let round = 1; round <= 2; round++) {
      const halt = haltSignal();
      const call = registry.list("orders", { signal: halt.signal });
      while (hangs.requests.length < round) await new Promise((resolve) => setImmediate(resolve));
      halt.abort(new Error("enough"));
      await assert.rejects(call, /enough/);
    }
    assert.equal(other.requests.length, 0);
  });
});

describe("a watch of eureka()", () => {
  it("asks again after the interval, give or take a tenth, and tells what is new only", async () => {
    const clock = new ManualClock();
    const body = JSON.stringify({ application: { name: "ORDERS", instance: [] } });
    const { port, requests } = await start(200, undefined, body);
    const registry = keep(eureka({ url: `http://127.0.0.1:${port}/eureka`, clock, random: () => 0 }));
    const updates = registry.watch?.("orders", { signal })[Symbol.asyncIterator]();
    await updates?.next();
    const second = updates?.next();
    await clock.advance(8_999);
    assert.equal(requests.length, 1);
    await clock.advance(1);
    await second;
    assert.equal(requests.length, 2);
    assert.equal(registry.capabilities.watch, "poll");
  });
});

function instanceLike() {
  return { id: "x", service: "orders", host: "h", port: 1, status: "healthy", incarnation: 1 };
}

/** A server that answers everything alike, or by path, as Eureka's transcripts have it: the status decides. */
function start(
  status: number | "never" | ((path: string) => number),
  see: (headers: NodeJS.Dict<string | string[]>) => void = () => {},
  body = "",
): Promise<Backend> {
  return startBackend((request, response) => {
    see(request.headers);
    if (status === "never") return;
    const proof = status === 404 && request.url?.includes("/vips/"); // names that stand for instances are never unknown
    const answered = typeof status === "function" ? status(String(request.url)) : proof ? 200 : status;
    response.writeHead(answered, { "content-type": "application/json" });
    response.end(proof ? '{"applications":{"application":[]}}' : body);
  }).then(keep);
}

function list(options: EurekaOptions) {
  return keep(eureka(options)).list("orders", { signal });
}

async function failure(call: Promise<unknown>, code: ErrorCode): Promise<Error> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(DiscoveryError.is(error, code), String(error));
  return error;
}
