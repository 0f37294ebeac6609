import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import type { ServerResponse } from "node:http";
import { describe, it } from "vitest";
import { EJECTION } from "../../src/endpoint/ejection.js";
import type { Endpoint } from "../../src/endpoint/endpoint.js";
import { createResolver, defineInstance } from "../../src/index.js";
import type { RegistryUpdate } from "../../src/model/update.js";
import { LOAD_HEADER, loadText } from "../../src/runtime/load-header.js";
import { startBackend } from "../fakes/backend.js";
import { scriptedRegistry } from "../fakes/scripted-registry.js";
import { opened } from "../opened.js";

describe("calls begun in an earlier life of their instance", () => {
  it("do not eject the new one when the old process takes them along", async () => {
    const { old, held, calls, restarted } = await begun(6);
    const endpoint = await restarted();
    for (const { socket } of held) socket?.resetAndDestroy();
    await Promise.allSettled(calls);
    assert.ok(held.length >= 6 && old.requests.length === held.length);
    assert.deepEqual([endpoint.ejection.cause, endpoint.ejection.failuresInRow], [undefined, 0]);
    assert.deepEqual([endpoint.load.failures, endpoint.load.successRate, endpoint.load.inFlight], [0, 1, 0]);
  });

  it("measure nothing of the new one, which nobody waits for yet", async () => {
    const { held, calls, restarted } = await begun(3);
    const endpoint = await restarted();
    assert.deepEqual([endpoint.load.inFlight, endpoint.load.waiting, endpoint.load.calls], [3, 0, 3]);
    for (const response of held) response.end("late");
    for (const call of calls) await (await call).body.dump();
    assert.deepEqual([endpoint.load.latencyMs, endpoint.load.successes, endpoint.load.inFlight], [-1, 0, 0]);
    assert.deepEqual([endpoint.load.waiting, endpoint.load.calls], [0, 3]);
  });

  it("ask for no pause of the new one", async () => {
    const { held, calls, restarted } = await begun(2);
    const endpoint = await restarted();
    for (const response of held) response.writeHead(503, { "retry-after": "30" }).end();
    for (const call of calls) await (await call).body.dump();
    assert.deepEqual([endpoint.ejection.cause, endpoint.ejection.askedMs], [undefined, 0]);
  });

  it("report no load of the new one", async () => {
    const { held, calls, restarted } = await begun(2);
    const endpoint = await restarted();
    endpoint.load.shared.wantReports(true);
    for (const response of held) response.writeHead(200, { [LOAD_HEADER]: loadText(0.9) }).end();
    for (const call of calls) await (await call).body.dump();
    assert.equal(endpoint.load.shared.reports?.[2 * endpoint.load.place], 0);
  });

  it("leave a trial of the new one alone when their callers give up", async () => {
    const { calls, halt, restarted } = await begun(1);
    const endpoint = await restarted();
    endpoint.ejection.eject("failing", EJECTION, () => 0);
    endpoint.ejection.onTrial = true;
    halt.abort();
    await Promise.allSettled(calls);
    assert.equal(endpoint.ejection.onTrial, true);
  });

  it("are told apart where a selection was held as well", async () => {
    const { orders, old, restarted } = await begun(0);
    const all = await Promise.all(Array.from({ length: 10 }, () => orders.pick()));
    const endpoint = await restarted();
    for (const selection of all.filter(({ instance }) => instance.port === old.port)) selection.report("failure");
    for (const selection of all) selection.release();
    assert.deepEqual([endpoint.load.failures, endpoint.ejection.failuresInRow, endpoint.load.inFlight], [0, 0, 0]);
  });
});

/** So many calls that wait at an instance, beside which another answers at once; `restarted` tells of its next life. */
async function begun(count: number) {
  const held: ServerResponse[] = [];
  const old = await startBackend((_request, response) => void held.push(response));
  const other = await startBackend();
  opened.push(old, other);
  const scripted = scriptedRegistry();
  const told = (incarnation: number): RegistryUpdate => ({
    type: "reset",
    instances: [old, other].map(({ port }) =>
      defineInstance({ service: "orders", host: "127.0.0.1", port, incarnation: port === old.port ? incarnation : 1 }),
    ),
    position: `e:${incarnation}`,
    epoch: "e",
  });
  scripted.list = async () => told(1);
  const resolver = createResolver({ registry: scripted.registry, tries: 1 });
  opened.push(resolver);
  const orders = resolver.service("orders");
  await orders.ready();
  const halt = new AbortController();
  setMaxListeners(0, halt.signal);
  const calls = Array.from({ length: 2 * count }, () => orders.request("/", { signal: halt.signal }));
  while (held.length < count) await turn();
  const restarted = async (): Promise<Endpoint> => {
    const endpoint = orders.endpoints.find(({ instance }) => instance.port === old.port) as Endpoint;
    scripted.push(told(2));
    while (endpoint.instance.incarnation !== 2) await turn();
    return endpoint;
  };
  return { orders, old, held, calls, halt, restarted };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
