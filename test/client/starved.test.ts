import assert from "node:assert/strict";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { describe, it } from "vitest";
import { createResolver, DiscoveryError, staticRegistry } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { startBackend } from "../fakes/backend.js";
import { opened } from "../opened.js";

describe("a call in a process that stands still again and again", () => {
  it("gives an instance its whole time nevertheless", async () => {
    const { clock, call, held, endpoint } = await callOf({ tryTimeoutMs: 100 });
    for (let stall = 0; stall < 3; stall++) await clock.stall(90);
    await clock.advance(20);
    held.end("late, but not by its own fault");
    assert.equal((await call).statusCode, 200);
    assert.equal(endpoint.ejection.failuresInRow, 0);
  });

  it("does not wait longer than that", async () => {
    const { clock, call, endpoint } = await callOf({ tryTimeoutMs: 100 });
    const failed = assert.rejects(call, (error) => DiscoveryError.is(error, "TIMEOUT"));
    await clock.stall(90);
    await clock.advance(100);
    await failed;
    assert.equal(endpoint.ejection.failuresInRow, 1);
  });

  it("ends in the caller's time all the same", async () => {
    const { clock, call } = await callOf({ tryTimeoutMs: 100, timeoutMs: 200 });
    const failed = assert.rejects(call, (error) => DiscoveryError.is(error, "TIMEOUT"));
    await clock.stall(90);
    await clock.stall(110);
    await failed;
  });
});

/** One call that has reached the only instance there is, and is held there. */
async function callOf(options: { readonly tryTimeoutMs: number; readonly timeoutMs?: number }) {
  let take = (_: ServerResponse): void => {};
  const taken = new Promise<ServerResponse>((resolve) => {
    take = resolve;
  });
  const backend = await startBackend((_, response) => take(response));
  const clock = new ManualClock();
  const registry = staticRegistry([{ service: "orders", host: "127.0.0.1", port: backend.port }]);
  const resolver = createResolver({ registry, clock, tries: 1, ...options });
  opened.push(backend, resolver);
  const orders = resolver.service("orders");
  await orders.ready();
  const call = orders.request("/");
  call.catch(() => {}); // its test looks at it later
  const held = await taken;
  if (!held.socket) await once(held, "socket");
  const [endpoint] = orders.endpoints;
  assert.ok(endpoint);
  return { clock, call, held, endpoint };
}
