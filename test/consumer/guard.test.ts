import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterAll, afterEach, describe, it } from "vitest";
import { type CreateResolverOptions, createResolver, DiscoveryError, type Evidence } from "../../src/index.js";
import type { RegistryUpdate } from "../../src/model/update.js";
import { ManualClock } from "../../src/testing/index.js";
import { scriptedRegistry, snapshot } from "../fakes/scripted-registry.js";

const scratch = mkdtempSync(join(tmpdir(), "mcp-discovery-guard-"));
const opened: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe("a service whose registry takes everybody away", () => {
  it("goes on calling the living for as long as the registry names nobody else", async () => {
    const { clock, orders, say, events } = await start({ finds: "alive" });
    say(snapshot(2, []));
    await clock.advance(3_600_000);
    assert.ok(orders.pickNow());
    assert.equal(orders.snapshot.suspects.length, 4);
    assert.deepEqual(events, ["suspected 4"]);
    assert.match(String(orders.explain()), /4 no longer listed, kept in doubt/);
    assert.equal(orders.explain().suspected, 4);
  });

  it("lets the dead go within seconds, as soon as the registry has repeated itself", async () => {
    const { clock, orders, say, events } = await start({ finds: "refused" });
    say(snapshot(2, []));
    await clock.advance(4_900);
    assert.equal(orders.instances().length, 4);
    await clock.advance(200);
    assert.equal(orders.instances().length, 0);
    assert.deepEqual(events, ["suspected 4", "cleared +0 -4"]);
    assert.throws(
      () => orders.pickNow(),
      (error) => DiscoveryError.is(error, "NO_INSTANCES"),
    );
  });

  it("tells when they are listed again", async () => {
    const { clock, say, events, orders } = await start({ finds: "unknown" });
    say(snapshot(2, []));
    await clock.advance(1_000);
    say(snapshot(3, [3_000, 3_001, 3_002, 3_003]));
    await clock.advance(1_000);
    assert.deepEqual(events, ["suspected 4", "cleared +4 -0"]);
    assert.deepEqual(orders.snapshot.suspects, []);
  });

  it("counts those as gone whom the registry goes on calling failed, once nobody listens there", async () => {
    const { clock, say, events, orders } = await start({ finds: "refused" });
    const { instances, ...rest } = snapshot(2, [3_000, 3_001, 3_002, 3_003]) as RegistryUpdate & { type: "reset" };
    say({ ...rest, instances: instances.map((each) => ({ ...each, status: "failed" as const })) });
    await clock.advance(4_900);
    assert.deepEqual([...new Set(orders.instances().map(({ status }) => status))], ["healthy"]);
    await clock.advance(200);
    assert.deepEqual(events, ["suspected 4", "cleared +0 -4"]);
    assert.deepEqual([...new Set(orders.instances().map(({ status }) => status))], ["failed"]);
  });

  it("prefers whoever is still listed to those in doubt", async () => {
    const { clock, orders, say } = await start({ finds: "alive" });
    say(snapshot(2, [3_003]));
    await clock.advance(10);
    const picked = new Set(Array.from({ length: 10 }, () => orders.pickNow().instance.port));
    assert.deepEqual([...picked], [3_003]);
    assert.equal(orders.instances().length, 4);
  });

  it("obeys where it was told to", async () => {
    const { clock, orders, say } = await start({ massLoss: false });
    say(snapshot(2, []));
    await clock.advance(10);
    assert.equal(orders.instances().length, 0);
  });

  it("doubts as little, and waits as long, as it was told to", async () => {
    const { clock, orders, say, events } = await start({
      finds: "refused",
      massLoss: { share: 0.2, least: 2, confirmMs: 1_000 },
    });
    say(snapshot(2, [3_001, 3_002, 3_003]));
    await clock.advance(990);
    assert.deepEqual([events, orders.instances().length], [["suspected 1"], 4]);
    await clock.advance(20);
    assert.equal(orders.instances().length, 3);
    say(snapshot(3, [3_001, 3_002]));
    await clock.advance(10);
    assert.equal(orders.snapshot.suspects.length, 1, "a third is more than a fifth");
    const other = await start({ massLoss: { share: 0.8 } });
    other.say(snapshot(2, [3_003]));
    await other.clock.advance(10);
    assert.equal(other.orders.instances().length, 1, "three of four are less than four fifths");
  });

  it("leaves no timer and no probe behind when it is closed in doubt", async () => {
    const { clock, say, close } = await start({ finds: "alive" });
    say(snapshot(2, []));
    await clock.advance(1_000);
    await close();
    assert.equal(clock.pending, 0);
  });

  it("refuses options that make no sense, by name", () => {
    const { registry } = scriptedRegistry();
    for (const [massLoss, message] of [
      [{ share: 2 }, /resolver\.massLoss\.share must be a number from 0 to 1/],
      [{ shares: 1 }, /resolver\.massLoss\.shares is no option: did you mean share\?/],
      [7, /resolver\.massLoss must be an object/],
    ] as const) {
      assert.throws(() => createResolver({ registry, massLoss: massLoss as never }), message);
    }
    assert.throws(() => createResolver({ registry, snapshotDir: 7 as never }), /resolver\.snapshotDir must be/);
  });
});

describe("a service that begins while its registry is away", () => {
  it("calls whom it knew in its last life, at once, and says so", async () => {
    const snapshotDir = join(scratch, "refused");
    await livedBefore(snapshotDir);
    const refuse = async (): Promise<never> => {
      throw new DiscoveryError("UNAVAILABLE", "connect ECONNREFUSED");
    };
    const { clock, orders } = make(refuse, { snapshotDir });
    const begun = clock.now();
    const picked = pickedIn(orders.pick(), clock);
    assert.ok((await picked).instance.port >= 3_000);
    assert.ok(clock.now() - begun <= 20, `${clock.now() - begun} ms`);
    const { source, stale, ageMs } = orders.snapshot;
    assert.deepEqual([source, stale], ["disk", true]);
    assert.ok(ageMs !== undefined && ageMs <= 20);
    assert.match(String(orders.explain()), /from disk/);
  });

  it("does so too when the registry is silent, and is put right by its first word", async () => {
    const snapshotDir = join(scratch, "silent");
    await livedBefore(snapshotDir);
    const { clock, orders, say } = make(silence, { snapshotDir });
    await pickedIn(orders.pick(), clock);
    const fresh: string[] = [];
    orders.on("fresh", ({ snapshot: { source, instances } }) => fresh.push(`${source} ${instances.length}`));
    await clock.advance(3_100); // the pull has failed: the watch begins
    say(snapshot(9, [3_000, 3_001, 3_002]));
    await clock.advance(100);
    assert.deepEqual(fresh, ["registry 3"]);
    assert.equal(orders.snapshot.stale, false);
  });

  it("prefers the registry's own answer when that comes at once", async () => {
    const snapshotDir = join(scratch, "quick");
    await livedBefore(snapshotDir);
    const { clock, orders } = make(async () => snapshot(5, [4_000]), { snapshotDir });
    const selection = await pickedIn(orders.pick(), clock);
    assert.deepEqual([selection.instance.port, orders.snapshot.source], [4_000, "registry"]);
  });

  it("waits as ever where it has known nobody", async () => {
    const { clock, orders } = make(silence, { snapshotDir: join(scratch, "nothing") });
    const picked = orders.pick().catch((error: unknown) => error);
    await clock.advance(5_000);
    assert.ok(DiscoveryError.is(await picked, "UNAVAILABLE"));
  });
});

function silence(): Promise<never> {
  return new Promise(() => {});
}

async function livedBefore(snapshotDir: string): Promise<void> {
  const { clock, orders, close } = make(async () => snapshot(1, [3_000, 3_001, 3_002, 3_003]), { snapshotDir });
  await pickedIn(orders.pick(), clock);
  await close();
}

/** Reading a file takes real time: lets it pass while the clock of the test goes on in small steps. */
async function pickedIn<T>(picking: Promise<T>, clock: ManualClock): Promise<T> {
  let done = false;
  void picking.finally(() => {
    done = true;
  });
  for (let turn = 0; turn < 1_000 && !done; turn++) {
    await setImmediate();
    if (turn % 50 === 49) await clock.advance(1);
  }
  return picking;
}

async function start(options: Options = {}) {
  const made = make(async () => snapshot(1, [3_000, 3_001, 3_002, 3_003]), options);
  await made.clock.advance(10);
  const events: string[] = [];
  made.orders.on("suspected", ({ instances }) => events.push(`suspected ${instances.length}`));
  made.orders.on("cleared", ({ back, gone }) => events.push(`cleared +${back.length} -${gone.length}`));
  return { ...made, events };
}

type Options = Partial<CreateResolverOptions> & { finds?: Evidence };

function make(list: () => Promise<RegistryUpdate>, { finds = "unknown", ...options }: Options = {}) {
  const clock = new ManualClock();
  const scripted = scriptedRegistry();
  scripted.list = list;
  const probe = async (): Promise<Evidence> => finds;
  const resolver = createResolver({ registry: scripted.registry, clock, random: () => 0.5, probe, ...options });
  opened.push(resolver);
  const orders = resolver.service("orders");
  const say = (update: RegistryUpdate): void => {
    scripted.list = async () => update;
    scripted.push(update);
  };
  return { clock, scripted, resolver, orders, say, close: () => resolver.close() };
}
