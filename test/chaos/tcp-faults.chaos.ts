import assert from "node:assert/strict";
import { setTimeout as pass } from "node:timers/promises";
import { afterEach, beforeEach, describe, it } from "vitest";
import { type TcpFault, TcpFaultProxy } from "../fakes/tcp-fault-proxy.js";
import { get, underLoad, until } from "./load.js";
import { Stage } from "./stage.js";

const INSTANCES = 3;
const FAULT_MS = 5_000;
const FAULTS: Readonly<Record<string, TcpFault>> = {
  delay: { kind: "delay", ms: 300 },
  drip: { kind: "drip", bytes: 16, everyMs: 20 },
  "truncate, fin": { kind: "truncate", afterBytes: 150, how: "fin" },
  "truncate, reset": { kind: "truncate", afterBytes: 150, how: "reset" },
  corrupt: { kind: "corrupt", every: 61 },
  "half-close": { kind: "half-close" },
  blackhole: { kind: "blackhole" },
  refuse: { kind: "refuse" },
};

let stage: Stage;
let proxy: TcpFaultProxy;
beforeEach(async () => {
  stage = new Stage();
  await stage.registry();
  proxy = await new TcpFaultProxy(Number(new URL(stage.registryUrl).port)).listen();
  stage.registryUrl = proxy.url;
});
afterEach(async () => {
  await stage.close();
  await proxy.close();
});

describe("between everybody and their registry, on the wire: no call fails, nobody is lost", () => {
  for (const [name, fault] of Object.entries(FAULTS)) {
    it(name, async () => {
      await stage.providers(INSTANCES);
      const orders = await stage.consumer(INSTANCES);
      let fewest = INSTANCES;
      orders.on("changed", ({ snapshot: { instances } }) => {
        fewest = Math.min(fewest, instances.length);
      });
      let over = false;
      let visibleMs = 0;
      const load = await underLoad(orders, 200, () => over, get(orders), {
        0.5: async () => {
          proxy.set(fault);
          await pass(FAULT_MS);
          proxy.set({ kind: "none" });
          const newcomer = await stage.provider();
          visibleMs = await until(() => orders.instances().some(({ id }) => id === newcomer.id));
          over = true;
        },
      });
      const told = `${load.calls} calls, ${load.failures.length} failed, newcomer visible after ${Math.round(visibleMs)} ms`;
      console.info(`tcp ${name} C-1: ${told}`);
      assert.deepEqual(load.failures, []);
      assert.ok(fewest >= INSTANCES, `${fewest} were listed`);
    });
  }
});
