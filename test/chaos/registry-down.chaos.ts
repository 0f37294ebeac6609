import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { afterEach, beforeEach, describe, it } from "vitest";
import type { FaultProxy } from "../fakes/fault-proxy.js";
import { AWAY_SECONDS, block, fewestSharing, get, tell, underLoad, until } from "./load.js";
import { Stage } from "./stage.js";

const INSTANCES = 3;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.close());

describe("registry_down: no call fails, and nobody leaves the list, while the registry", () => {
  it("refuses connections", () => down("refused", ({ proxy }) => proxy.begin("refuse")));

  it("takes connections, and never says a word", () => down("blackholed", ({ proxy }) => proxy.begin("silence")));

  it("is paused", () =>
    down("paused", ({ registry }) => {
      registry.kill("SIGSTOP");
      return () => registry.kill("SIGCONT");
    }));

  it("answers 500 to everything", () => down("500s", ({ proxy }) => answering(proxy, 500, "Internal Server Error")));

  it("answers with what is no JSON", () =>
    down("garbage", ({ proxy }) => answering(proxy, 200, '<html>{"instances":[]}\u0000')));
});

/** One fault under load: it lasts {@link AWAY_SECONDS}, which is longer than every lease. */
async function down(
  name: string,
  begin: (scene: { readonly proxy: FaultProxy; readonly registry: ChildProcess }) => () => unknown,
): Promise<void> {
  const registry = await stage.registry();
  const proxy = await stage.proxy();
  await stage.providers(INSTANCES);
  const orders = await stage.consumer(INSTANCES);
  let fewest = INSTANCES;
  orders.on("changed", ({ snapshot }) => {
    fewest = Math.min(fewest, snapshot.instances.length);
  });
  let over = false;
  let endedAt = 0;
  let fewestAway = 0;
  let freshMs = 0;
  let sharing: Promise<number> | undefined;
  const load = await underLoad(orders, 300, () => over, get(orders), {
    1: async () => {
      const end = begin({ proxy, registry });
      await new Promise((resolve) => setTimeout(resolve, AWAY_SECONDS * 1_000));
      endedAt = performance.now();
      fewestAway = fewest;
      sharing = fewestSharing(orders, () => over);
      await end();
      freshMs = await visibleAgain();
      over = true;
    },
  });

  /** A newcomer is seen, and all the others are listed and not doubted. */
  async function visibleAgain(): Promise<number> {
    const since = performance.now();
    await stage.provider();
    await until(
      () => orders.instances().length === INSTANCES + 1 && orders.snapshot.suspects.length === 0,
      "That everybody is visible again",
    );
    return performance.now() - since;
  }

  const during = block(load, 0, endedAt);
  tell(
    `registry_down/${name} C-1 P-3`,
    load,
    `${AWAY_SECONDS} s away, all and a newcomer visible ${Math.round(freshMs)} ms after, ${fewest} or more listed and ${await sharing} or more called until then`,
  );
  assert.ok(during.calls > AWAY_SECONDS * 300 * 0.9, "the load kept its pace");
  assert.deepEqual(load.failures, []);
  assert.deepEqual(load.retried, []);
  assert.equal(fewestAway, INSTANCES, "nobody left the list");
  assert.ok(fewest >= INSTANCES && Number(await sharing) >= INSTANCES, "nor when the registry was back");
}

function answering(proxy: FaultProxy, status: number, text: string): () => void {
  const end = proxy.begin({ status, text });
  proxy.cut(); // watches that are open would go on telling the truth
  return end;
}
