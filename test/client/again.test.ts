import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { retryAfterMs } from "../../src/client/retry-after.js";
import { type CreateResolverOptions, createResolver, DiscoveryError, staticRegistry } from "../../src/index.js";
import { type Backend, startBackend } from "../fakes/backend.js";
import { opened } from "../opened.js";

describe("the header that marks a retry", () => {
  it("is on every call that is sent again, and on none that is sent first", async () => {
    const { orders, seen } = await start(3);
    await (await orders.request("/", { headers: { "x-user": "ann" } })).body.dump();
    assert.deepEqual(seen, [
      { attempt: undefined, user: "ann" },
      { attempt: "2", user: "ann" },
      { attempt: "3", user: "ann" },
    ]);
  });

  it("is called as one likes, or left out", async () => {
    const named = await start(2, { retryHeader: "X-Try" }, "x-try");
    await (await named.orders.fetch("/")).text();
    assert.deepEqual(
      named.seen.map(({ attempt }) => attempt),
      [undefined, "2"],
    );
    const none = await start(2, { retryHeader: false });
    await (await none.orders.fetch("/")).text();
    assert.deepEqual(
      none.seen.map(({ attempt }) => attempt),
      [undefined, undefined],
    );
    assert.throws(
      () => createResolver({ registry: staticRegistry([]), retryHeader: "a b" }),
      (error) => DiscoveryError.is(error, "INVALID_OPTION") && /^resolver\.retryHeader/.test(error.message),
    );
  });

  it("stops retries further down the chain when it is passed on", async () => {
    const { orders, resolver, seen } = await start(3);
    const headers = resolver.retryHeaders({ "x-envoy-attempt-count": "2" });
    const response = await orders.fetch("/", { headers });
    assert.equal(response.status, 503);
    assert.deepEqual(
      seen.map(({ attempt }) => attempt),
      ["2"],
    );
  });

  it("is passed on only by what is a retry itself", async () => {
    const { resolver } = await start(1);
    assert.deepEqual(resolver.retryHeaders({}), {});
    assert.deepEqual(resolver.retryHeaders({ "x-envoy-attempt-count": "1" }), {});
    assert.deepEqual(resolver.retryHeaders(new Headers({ "X-Envoy-Attempt-Count": "3" })), {
      "x-envoy-attempt-count": "3",
    });
  });
});

describe("Retry-After", () => {
  it("is read as seconds and as a date, and as nothing where it is neither", () => {
    const wall = Date.UTC(2026, 0, 1);
    const asked = (value: string): number =>
      retryAfterMs(
        ["Date", "x", "Retry-After", value].map((each) => Buffer.from(each)),
        wall,
      );
    assert.equal(asked("7"), 7_000);
    assert.equal(asked("Thu, 01 Jan 2026 00:00:30 GMT"), 30_000);
    for (const nothing of ["0", "soon", "-3", "", "Thu, 01 Jan 2025 00:00:00 GMT"]) assert.equal(asked(nothing), 0);
    assert.equal(retryAfterMs([], wall), 0);
  });
});

/** Instances of which only the last that is asked answers with 200. */
async function start(count: number, options: CreateResolverOptions = {}, header = "x-envoy-attempt-count") {
  const seen: { attempt: string | undefined; user: string | undefined }[] = [];
  const backends: Backend[] = [];
  for (let index = 0; index < count; index++) {
    const backend = await startBackend(({ headers }, response) => {
      const attempt = headers[header];
      const user = headers["x-user"];
      seen.push({ attempt: attempt?.toString(), user: user?.toString() });
      response.writeHead(seen.length < count ? 503 : 200).end();
    });
    backends.push(backend);
    opened.push(backend);
  }
  const registry = staticRegistry(backends.map(({ port }) => ({ service: "orders", host: "127.0.0.1", port })));
  const resolver = createResolver({ registry, random: () => 0, ...options });
  opened.push(resolver);
  return { resolver, orders: resolver.service("orders"), seen };
}
