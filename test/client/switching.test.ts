import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { type BalancerName, createResolver, staticRegistry } from "../../src/index.js";
import { startBackend } from "../fakes/backend.js";
import { opened } from "../opened.js";

const BACKENDS = 4;
const CALLERS = 20;
const CALLS = 100;
/** So many answers lie between one change of the balancer and the next. */
const PACE = 15;
const NAMES: readonly BalancerName[] = [
  "random",
  "least-requests",
  "latency-weighted",
  "adaptive",
  "consistent-hash",
  "round-robin",
];

describe("a change of balancer under load", () => {
  it("fails no call, sends none twice and none nowhere, and keeps what was measured", async () => {
    const { resolver, orders, backends } = await start();
    let answered = 0;
    let changes = 0;
    const caller = async (each: number): Promise<void> => {
      for (let call = 0; call < CALLS; call++) {
        const { statusCode, body } = await orders.request(`/${each}/${call}`, { key: `user-${call % 50}` });
        await body.dump();
        assert.equal(statusCode, 200);
        if (++answered % PACE !== 0) continue;
        const before = measured(orders.endpoints);
        resolver.setBalancer("orders", NAMES[changes++ % NAMES.length] as BalancerName);
        assert.deepEqual(measured(orders.endpoints), before);
      }
    };
    await Promise.all(Array.from({ length: CALLERS }, (_, each) => caller(each)));
    assert.ok(changes > 100);
    const requests = backends.flatMap((backend) => backend.requests);
    assert.equal(requests.length, CALLERS * CALLS);
    assert.equal(new Set(requests).size, CALLERS * CALLS);
    const { calls, failures, inFlight } = totals(orders.endpoints);
    assert.deepEqual([calls, failures, inFlight], [CALLERS * CALLS, 0, 0]);
  });

  it("leaves a caller's round whole once a round is gone again: no turn is given twice or left out", async () => {
    const { orders, backends } = await start();
    for (const name of NAMES) {
      orders.setBalancer(name);
      await (await orders.request("/", { key: "ann" })).body.dump();
    }
    const before = backends.map(({ requests }) => requests.length);
    for (let call = 0; call < 3 * BACKENDS; call++) await (await orders.request("/")).body.dump();
    const turns = backends.map(({ requests }, index) => requests.length - (before[index] as number));
    assert.deepEqual(turns, Array(BACKENDS).fill(3));
  });
});

async function start() {
  const backends = await Promise.all(Array.from({ length: BACKENDS }, () => startBackend()));
  opened.push(...backends);
  const instances = backends.map(({ port }) => ({ service: "orders", host: "127.0.0.1", port }));
  const resolver = createResolver({ registry: staticRegistry(instances) });
  opened.push(resolver);
  const orders = resolver.service("orders");
  await orders.ready();
  return { resolver, orders, backends };
}

type Endpoints = Awaited<ReturnType<typeof start>>["orders"]["endpoints"];

function measured(endpoints: Endpoints): readonly unknown[] {
  return endpoints.map(({ load }) => [load.calls, load.failures, load.inFlight, load.latencyMs, load.successRate]);
}

function totals(endpoints: Endpoints): { calls: number; failures: number; inFlight: number } {
  const total = { calls: 0, failures: 0, inFlight: 0 };
  for (const { load } of endpoints) {
    total.calls += load.calls;
    total.failures += load.failures;
    total.inFlight += load.inFlight;
  }
  return total;
}
