import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, it } from "vitest";
import { fileRegistry } from "../../src/adapters/file.js";
import { createResolver } from "../../src/index.js";
import { DiscoveryError } from "../../src/model/errors.js";
import type { RegistryUpdate } from "../../src/model/update.js";
import type { Discovery } from "../../src/registry/registry.js";
import { turn } from "../../src/runtime/clock.js";
import { ManualClock } from "../../src/testing/index.js";

const { signal } = new AbortController();
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

describe("fileRegistry", () => {
  it("lists what the file says, in the order of ids, and says afterwards that nothing changed", async () => {
    const { registry } = given([at("10.0.0.2"), at("10.0.0.1"), { ...at("10.0.0.3"), service: "Carts" }]);
    const first = await registry.list("orders", { signal });
    assert.deepEqual(hostsIn(first), ["10.0.0.1", "10.0.0.2"]);
    const { position: since } = first as { position?: string };
    assert.equal((await registry.list("orders", { since, signal })).type, "current");
    assert.equal((await registry.list("payments", { signal })).type, "absent");
    assert.deepEqual(await registry.services?.({ signal }), ["carts", "orders"]);
  });

  it("notices a change that is written, and one that takes the file's place", async () => {
    const { path, registry } = given([at("10.0.0.1")]);
    const watch = watching(registry);
    assert.deepEqual(hostsIn(await watch.next()), ["10.0.0.1"]);
    writeFileSync(path, JSON.stringify([at("10.0.0.2")]));
    assert.deepEqual(hostsIn(await watch.next()), ["10.0.0.2"]);
    for (const host of ["10.0.0.3", "10.0.0.4"]) {
      writeFileSync(`${path}.new`, JSON.stringify([at(host)]));
      renameSync(`${path}.new`, path);
      assert.deepEqual(hostsIn(await watch.next()), [host]);
    }
  });

  it("waits until a file that is being written is whole", async () => {
    const clock = new ManualClock();
    const { path, registry } = given([at("10.0.0.1")], { clock });
    const watch = watching(registry);
    await watch.next();
    const text = JSON.stringify([at("10.0.0.2"), at("10.0.0.3")]);
    const before = clock.pending;
    writeFileSync(path, text.slice(0, 30));
    const [next, listed] = [watch.next(), registry.list("orders", { signal })];
    while (clock.pending === before) await turn(); // it has read the half, and pauses
    writeFileSync(path, text);
    const told = await settling(clock, Promise.all([next, listed]));
    assert.deepEqual(told.map(hostsIn), Array(2).fill(["10.0.0.2", "10.0.0.3"]));
  });

  it("tells of a change to all who ask at once, though each has it look anew", async () => {
    const clock = new ManualClock();
    const { path, registry } = given([at("10.0.0.1")], { clock });
    await registry.list("orders", { signal });
    writeFileSync(path, JSON.stringify([at("10.0.0.2")]));
    const lists = Promise.all([registry.list("orders", { signal }), registry.list("orders", { signal })]);
    assert.deepEqual((await settling(clock, lists)).map(hostsIn), [["10.0.0.2"], ["10.0.0.2"]]);
  });

  it("looks by itself where the system gives no notice, even for a folder that is not there yet", async () => {
    const clock = new ManualClock();
    const { path, registry } = given([], { clock, folder: "later" });
    await assert.rejects(settling(clock, registry.list("orders", { signal })), /cannot be read.*\(UNAVAILABLE\)/);
    await assert.rejects(settling(clock, watching(registry).next()), /UNAVAILABLE/);
    mkdirSync(dirname(path));
    writeFileSync(path, JSON.stringify([at("10.0.0.1")]));
    const watch = watching(registry);
    assert.deepEqual(hostsIn(await settling(clock, watch.next())), ["10.0.0.1"]);
  });

  it("names the entry and the field that are wrong", async () => {
    for (const [content, what] of [
      ["[", /it is no JSON/],
      ["{}", /it is no array of instances/],
      [[at("10.0.0.1"), { ...at("10.0.0.2"), port: 0 }], /\[1\]\.port must be/],
      [[{ ...at("10.0.0.1"), wieght: 1 }], /\[0\]\.wieght is no option: did you mean weight\?/],
      [[at("10.0.0.1"), at("10.0.0.1")], /\[1\]\.id is orders@10\.0\.0\.1:80/],
      [[7], /\[0\] must be an object/],
    ] as const) {
      const { registry } = given(content);
      await assert.rejects(
        registry.list("orders", { signal }),
        (error) => DiscoveryError.is(error, "PROTOCOL") && what.test(error.message),
      );
    }
  });

  it("keeps the last good list for all while the file is bad, and says so to those who have it", async () => {
    const { path, registry } = given([at("10.0.0.1")]);
    const { position: since } = (await registry.list("orders", { signal })) as { position?: string };
    writeFileSync(path, "[");
    await assert.rejects(registry.list("orders", { since, signal }), /it is no JSON/);
    assert.deepEqual(hostsIn(await registry.list("orders", { signal })), ["10.0.0.1"]);
    rmSync(path);
    await assert.rejects(registry.list("orders", { since, signal }), /cannot be read/);
    writeFileSync(path, JSON.stringify([at("10.0.0.2")]));
    assert.deepEqual(hostsIn(await registry.list("orders", { since, signal })), ["10.0.0.2"]);
  });

  it("lets a resolver serve on, tells it what is wrong, and goes on by itself when the file is mended", async () => {
    const { path, registry } = given([at("10.0.0.1")]);
    const resolver = createResolver({ registry, refreshMs: 1_000, staleAfterMs: 1_500 });
    closing.push(() => resolver.close());
    const service = resolver.service("orders");
    await service.ready();
    const stale = new Promise<DiscoveryError | undefined>((done) => service.once("stale", ({ cause }) => done(cause)));
    writeFileSync(path, '[{"service":"orders","host":"10.0.0.9","port":"80"}]');
    assert.match((await stale)?.message ?? "", /\[0\]\.port must be a whole number/);
    assert.equal(service.pickNow().instance.host, "10.0.0.1");
    const fresh = new Promise<void>((done) => service.once("fresh", () => done()));
    writeFileSync(path, JSON.stringify([at("10.0.0.2")]));
    await fresh;
    assert.equal(service.pickNow().instance.host, "10.0.0.2");
  });

  it("ends a watch with its signal, and leaves nothing running", async () => {
    const clock = new ManualClock();
    const { registry } = given([at("10.0.0.1")], { clock });
    const cut = new AbortController();
    const watch = registry.watch!("orders", { signal: cut.signal })[Symbol.asyncIterator]();
    await watch.next();
    const next = watch.next();
    cut.abort(new Error("heard enough"));
    await assert.rejects(next, /heard enough/);
    assert.equal(clock.pending, 0);
  });
});

function at(host: string) {
  return { service: "orders", host, port: 80 };
}

function given(content: unknown, { clock, folder = "." }: { clock?: ManualClock; folder?: string } = {}) {
  const scratch = mkdtempSync(join(tmpdir(), "mcp-discovery-file-"));
  const path = join(scratch, folder, "services.json");
  if (folder === ".") writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  const registry = fileRegistry(path, clock ? { clock } : {});
  closing.push(
    () => rmSync(scratch, { recursive: true, force: true }),
    () => registry.close(),
  );
  return { path, registry };
}

function watching(registry: Discovery) {
  const updates = registry.watch!("orders", { signal })[Symbol.asyncIterator]();
  return { next: async (): Promise<RegistryUpdate> => (await updates.next()).value };
}

function hostsIn(update: RegistryUpdate): readonly string[] | string {
  return update.type === "reset" ? update.instances.map(({ host }) => host) : update.type;
}

/** Lets time pass until it settles. */
async function settling<T>(clock: ManualClock, task: Promise<T>): Promise<T> {
  let isOver = false;
  const settled = task.finally(() => {
    isOver = true;
  });
  settled.catch(() => {});
  while (!isOver) await clock.advance(100);
  return settled;
}
