import assert from "node:assert/strict";
import { afterEach, describe, it } from "vitest";
import { type Lane, Pools } from "../../src/client/pools.js";
import { Endpoint } from "../../src/endpoint/endpoint.js";
import { defineInstance } from "../../src/model/instance.js";
import { ManualClock } from "../../src/testing/index.js";

const MOST = 1_024;

const opened: Pools[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe("Pools, where more are called than are kept at once", () => {
  it("closes the one that was not called for longest", () => {
    const { pools, lanes, called } = start();
    called(MOST);
    assert.deepEqual([pools.size, lanes[0]?.pool.closed, lanes[1]?.pool.closed], [MOST, true, false]);
  });

  it("keeps all while calls are on them, and whichever is about to be called", () => {
    const { pools, lanes, called } = start();
    for (const lane of lanes) lane.calls++;
    assert.equal(called(MOST).pool.closed, false);
    assert.equal(pools.size, MOST + 1);
  });
});

/** As many lanes as are kept, used one after the other. */
function start() {
  const pools = new Pools({ connections: 1, authority: "instance", clock: new ManualClock() });
  opened.push(pools);
  const called = (port: number): Lane => {
    const instance = defineInstance({ service: "orders", host: "127.0.0.1", port: port + 1 });
    return pools.of(new Endpoint(instance, 0, { judged: () => {} }), port);
  };
  return { pools, called, lanes: Array.from({ length: MOST }, (_, port) => called(port)) };
}
