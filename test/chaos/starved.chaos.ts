import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { connect, type Socket } from "node:net";
import { setTimeout as pass } from "node:timers/promises";
import { afterEach, beforeEach, describe, it } from "vitest";
import { FarConsumer } from "./far-consumer.js";
import { get, SECONDS, tell, underLoad, until } from "./load.js";
import { kill, type Prefix, Stage } from "./stage.js";

const INSTANCES = 4;

let stage: Stage;
let burners: ChildProcess[] = [];
let sockets: Socket[] = [];
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(burners.splice(0).map(kill));
  await stage.close();
});

describe("a consumer that is short of CPU fails no call and blames nobody", () => {
  it("when it burns four fifths of its own event loop", async () => {
    await stage.registry();
    await stage.providers(INSTANCES);
    const orders = await stage.consumer(INSTANCES, { tryTimeoutMs: 250 });
    const ejected: string[] = [];
    orders.on("ejected", ({ instance, cause }) => ejected.push(`${instance.id} ${cause}`));
    const burning = setInterval(() => burn(80), 100);
    const load = await underLoad(orders, 100, SECONDS, get(orders)).finally(() => clearInterval(burning));
    tell("cpu_starved, own loop C-8", load, `${ejected.length} ejected, ${load.retried.length} made good elsewhere`);
    assert.deepEqual(load.failures, []);
    assert.deepEqual(ejected, []);
  });

  it("when it yields to others, and they never sleep", async () => {
    await stage.registry();
    await stage.providers(INSTANCES);
    const consumer = await FarConsumer.start(stage, { tryTimeoutMs: 1_000 }, ["nice", "-n", "10"]);
    burners = [0, 1].map(() => spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }));
    await consumer.rate(100);
    await pass(SECONDS * 1_000);
    const load = await consumer.rate(0);
    tell("cpu_starved, nice C-8", load, `${load.ejected.length} ejected`);
    assert.ok(load.calls > SECONDS * 20, "it called all the while");
    assert.deepEqual(load.failures, []);
    assert.deepEqual(load.ejected, []);
  });
});

describe("file-descriptor exhaustion", () => {
  it("in the consumer is its own trouble: nobody is blamed for it, and it recovers", async () => {
    await stage.registry();
    await stage.providers(INSTANCES, { answerMs: 50 });
    const consumer = await FarConsumer.start(stage, { timeoutMs: 3_000, connections: 32 }, limitedTo(256));
    await consumer.rate(20);
    await pass(2_000);
    const before = await consumer.rate(400); // twenty at a time: more than it holds connections
    const code = await consumer.exhaust();
    await pass((SECONDS * 1_000) / 3);
    const during = await consumer.rate(20);
    consumer.release();
    await pass(2_000);
    await consumer.rate(400);
    await pass(3_000);
    const after = await consumer.rate(0);
    tell(
      "fd_exhaustion in the consumer",
      during,
      `${during.ejected.length} ejected; afterwards ${after.failures.length} of ${after.calls} failed`,
    );
    assert.equal(code, "EMFILE");
    assert.deepEqual(before.failures, []);
    assert.deepEqual(during.ejected, []);
    for (const { code, cause, message } of during.failures)
      assert.deepEqual([code, cause], ["UNAVAILABLE", "EMFILE"], message);
    assert.deepEqual([after.failures, after.ejected], [[], []]);
    assert.equal(after.instances, INSTANCES);
    assert.ok(consumer.isAlive);
  });

  it("in the registry costs no call, and it takes registrations again when there is room", async () => {
    const registry = await stage.registry(0, [], limitedTo(64));
    await stage.providers(INSTANCES);
    const orders = await stage.consumer(INSTANCES);
    const { port } = new URL(stage.registryUrl);
    let over = false;
    let roomMs = 0;
    const load = await underLoad(orders, 300, () => over, get(orders), {
      1: async () => {
        sockets = Array.from({ length: 120 }, () => connect(Number(port), "127.0.0.1").on("error", () => {}));
        await pass(SECONDS * 1_000);
        for (const socket of sockets.splice(0)) socket.destroy();
        const since = performance.now();
        await stage.provider();
        await until(() => orders.instances().length === INSTANCES + 1, "That the newcomer is visible");
        roomMs = performance.now() - since;
        over = true;
      },
    });
    tell(
      "fd_exhaustion in the registry R-13",
      load,
      `a newcomer is visible ${Math.round(roomMs)} ms after there is room`,
    );
    assert.deepEqual(load.failures, []);
    assert.deepEqual(load.retried, []);
    assert.equal(registry.exitCode, null, "it lives");
  });
});

/** Runs what follows with so many file descriptors at most. */
function limitedTo(count: number): Prefix {
  return ["sh", "-c", `ulimit -n ${count}; exec "$@"`, "sh"];
}

function burn(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}
