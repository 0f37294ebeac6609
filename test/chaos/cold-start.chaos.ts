import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "vitest";
import { createResolver } from "../../src/index.js";
import type { FaultProxy } from "../fakes/fault-proxy.js";
import { get, until } from "./load.js";
import { Stage } from "./stage.js";

const INSTANCES = 3;
const STARTS = 20;

let stage: Stage;
let snapshotDir: string;
beforeEach(() => {
  stage = new Stage();
  snapshotDir = mkdtempSync(join(tmpdir(), "mcp-discovery-cold-"));
});
afterEach(async () => {
  await stage.close();
  rmSync(snapshotDir, { recursive: true, force: true });
});

describe("a consumer that begins anew calls those it knew at once, and takes the registry's word when it comes", () => {
  it("while its registry refuses connections", () => begin("refused", (proxy) => proxy.begin("refuse")));

  it("while its registry never says a word", () => begin("blackholed", (proxy) => proxy.begin("silence")));
});

async function begin(name: string, fault: (proxy: FaultProxy) => () => unknown): Promise<void> {
  await stage.registry();
  const proxy = await stage.proxy();
  await stage.providers(INSTANCES);
  const consumer = () => createResolver({ registry: stage.registryUrl, snapshotDir });
  const before = consumer();
  await until(() => before.service("orders").instances().length === INSTANCES);
  await before.close(); // what was still to be written is written
  const end = fault(proxy);
  const tookMs: number[] = [];
  for (let start = 1; start <= STARTS; start++) {
    await using resolver = consumer();
    const orders = resolver.service("orders");
    const askedAt = performance.now();
    (await orders.pick()).release();
    tookMs.push(performance.now() - askedAt);
    const { source, stale, ageMs, instances } = orders.snapshot;
    assert.deepEqual([source, stale, instances.length], ["disk", true, INSTANCES]);
    assert.ok(ageMs !== undefined && ageMs < 60_000);
    assert.equal((await get(orders)()).statusCode, 200);
    if (start < STARTS) continue;
    await end();
    const freshMs = await until(() => orders.snapshot.source === "registry" && !orders.snapshot.stale);
    const [median = 0, worst = 0] = [tookMs.sort((a, b) => a - b)[STARTS >> 1], tookMs.at(-1)];
    const told = `${STARTS} starts, picked after ${median.toFixed(1)} ms, at worst ${worst.toFixed(1)} ms`;
    console.info(
      `cold_start/${name} C-2 C-12: ${told}; the registry's word ${Math.round(freshMs)} ms after it is back`,
    );
  }
}
