import assert from "node:assert/strict";
import { setTimeout as pass } from "node:timers/promises";
import { afterEach, beforeEach, describe, it } from "vitest";
import type { ServiceClient } from "../../src/index.js";
import { FarHost, whyNoFarHost } from "./far-host.js";
import { get, type Load, outOf, SECONDS, tell, underLoad, until } from "./load.js";
import { type Actor, Stage } from "./stage.js";

const TRY_MS = 250;
const NEAR = 3;
/** Whoever timed out is tried again after 5 s, then twice as long each time, up to a minute and a quarter (`EJECTION`). */
const LONGEST_PAUSE_MS = 75_000;

const missing = whyNoFarHost();
if (missing) process.stderr.write(`SKIPPED, no partitions and no packet loss: ${missing}\n`);

let stage: Stage;
let host: FarHost;
beforeEach(() => {
  stage = new Stage();
  host = new FarHost();
});
afterEach(async () => {
  await stage.close();
  host.close();
});

describe.skipIf(missing !== undefined)("a partition, one of four instances on its far side, costs no call", () => {
  it("one way: calls do not reach it, its beats reach the registry", async () => {
    const { load, ejected, far, outMs, backMs } = await partition((victim) => host.cutTo(victim.port));
    tell("partition one way C-5", load, figures(load, far, outMs, backMs));
    judge(load, far, ejected);
  });

  it("both ways: it cannot beat either, expires, and comes back by itself", async () => {
    const { load, ejected, far, outMs, backMs } = await partition(() => host.cut());
    tell("partition both ways C-5 P-8", load, figures(load, far, outMs, backMs));
    judge(load, far, ejected);
  });
});

describe.skipIf(missing !== undefined)("5 % packet loss towards every instance and back", () => {
  it("costs no call, and nobody is out for good", async () => {
    const { orders } = await cast(0, NEAR);
    const ejected = eventsOf(orders);
    host.lose(0.05);
    const load = await underLoad(orders, 200, SECONDS, get(orders));
    host.heal();
    const healed = await underLoad(orders, 200, 8, get(orders));
    tell("packet_loss 5 %", load, `${load.retried.length} made good elsewhere, ${ejected.length} ejections`);
    assert.deepEqual(load.failures, []);
    assert.ok(load.retried.length > 0, "packets were lost");
    assert.deepEqual(healed.failures, []);
    assert.ok(orders.endpoints.every(({ ejection }) => ejection.cause === undefined));
  });
});

async function cast(near: number, far: number): Promise<{ orders: ServiceClient; fars: readonly Actor[] }> {
  await stage.registry(0, ["--host", host.nearAddress, "--insecure"]);
  const players = [
    ...Array.from({ length: near }, () => stage.provider({ host: host.nearAddress })),
    ...Array.from({ length: far }, () => stage.provider({ host: host.farAddress }, host.prefix)),
  ];
  const fars = (await Promise.all(players)).slice(near);
  return { fars, orders: await stage.consumer(near + far, { tryTimeoutMs: TRY_MS }) };
}

/** The link is cut for {@link SECONDS}, longer than a lease; then all must be in rotation again. */
async function partition(cut: (far: Actor) => void) {
  const { orders, fars } = await cast(NEAR, 1);
  const [far] = fars as [Actor];
  const ejected = eventsOf(orders);
  const out = outOf(orders, far.id);
  let cutAt = 0;
  let backMs = 0;
  let over = false;
  const load = await underLoad(orders, 300, () => over, get(orders), {
    1: async () => {
      cutAt = performance.now();
      cut(far);
      await pass(SECONDS * 1_000);
      host.heal();
      backMs = await until(() => isInRotation(orders, far.id), "That it is in rotation again", LONGEST_PAUSE_MS);
      await pass(1_000);
      over = true;
    },
  });
  return { load, ejected, far, outMs: Math.round(out.at - cutAt), backMs };
}

function isInRotation(orders: ServiceClient, id: string): boolean {
  return orders.usable.some(({ instance }) => instance.id === id);
}

/** Who is ejected, in order. */
function eventsOf(orders: ServiceClient): readonly string[] {
  const ejected: string[] = [];
  orders.on("ejected", ({ instance }) => ejected.push(instance.id));
  return ejected;
}

function figures(load: Load, { id }: Actor, outMs: number, backMs: number): string {
  const times = load.retried.filter((each) => each.id === id).length;
  return `out of rotation ${outMs} ms after (${TRY_MS} ms a try), ${times} made good elsewhere, back ${Math.round(backMs)} ms after`;
}

function judge(load: Load, { id }: Actor, ejected: readonly string[]): void {
  assert.deepEqual(load.failures, []);
  assert.deepEqual([...new Set(ejected)], [id], "nobody else is blamed");
}
