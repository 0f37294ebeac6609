import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { type Balancer, type CreateResolverOptions, createResolver, staticRegistry } from "../../src/index.js";
import { type Backend, startBackend } from "../fakes/backend.js";
import { opened } from "../opened.js";

/** Picks whoever is usable, and nobody a second time. */
const broken: Balancer = {
  name: "broken",
  create() {
    let usable: Parameters<ReturnType<Balancer["create"]>["update"]>[1] = [];
    return {
      update(_all, now) {
        usable = now;
      },
      pick(context) {
        if (context?.tried?.length) throw new Error("the balancer's own");
        return usable[0];
      },
    };
  },
};

describe("what a balancer throws when a call needs another instance", () => {
  it("fails that call after a broken connection, and nothing else", async () => {
    const { orders } = await start((incoming) => void incoming.socket.resetAndDestroy());
    await assert.rejects(orders.request("/"), /the balancer's own/);
    assert.ok(orders.endpoints.every(({ load }) => load.inFlight === 0));
  });

  it("fails that call after a 503, and nothing else", async () => {
    const { orders } = await start((_request, response) => void response.writeHead(503).end("busy"));
    await assert.rejects(orders.request("/"), /the balancer's own/);
    assert.ok(orders.endpoints.every(({ load }) => load.inFlight === 0));
  });

  it("fails that call when it would be hedged, and nothing else", async () => {
    const { orders } = await start(() => {}, { hedge: { afterMs: 10 } });
    await assert.rejects(orders.request("/"), /the balancer's own/);
    assert.ok(orders.endpoints.every(({ load }) => load.inFlight === 0));
  });
});

async function start(answer: Parameters<typeof startBackend>[0], options: CreateResolverOptions = {}) {
  const backends: Backend[] = [await startBackend(answer), await startBackend(answer)];
  opened.push(...backends);
  const registry = staticRegistry(backends.map(({ port }) => ({ service: "orders", host: "127.0.0.1", port })));
  const resolver = createResolver({ registry, balancer: broken, timeoutMs: 2_000, ...options });
  opened.push(resolver);
  return { orders: resolver.service("orders") };
}
