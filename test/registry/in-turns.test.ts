import assert from "node:assert/strict";
import { describe, it } from "vitest";
import type { RegistryUpdate } from "../../src/model/update.js";
import { inTurns } from "../../src/registry/in-turns.js";
import { ManualClock } from "../../src/testing/index.js";
import { scriptedRegistry } from "../fakes/scripted-registry.js";

describe("a source asked in turns", () => {
  it("is asked for so many lists at a time, in the order they were wanted", async () => {
    const { source, asked, answer, clock } = start(2);
    const lists = ["a", "b", "c", "d"].map((name) => source.list(name, { signal: new AbortController().signal }));
    assert.deepEqual(asked, ["a", "b"]);
    answer();
    await clock.advance(0);
    assert.deepEqual(asked, ["a", "b", "c"]);
    for (let left = 3; left > 0; left--) {
      answer();
      await clock.advance(0);
    }
    await Promise.all(lists);
    assert.deepEqual(asked, ["a", "b", "c", "d"]);
  });

  it("is never asked for what nobody wants any more", async () => {
    const { source, asked, answer, clock } = start(1);
    const first = source.list("a", { signal: new AbortController().signal });
    const halt = new AbortController();
    const second = source.list("b", { signal: halt.signal });
    const third = source.list("c", { signal: new AbortController().signal });
    halt.abort(new Error("mine"));
    await assert.rejects(second, /mine/);
    await assert.rejects(source.list("d", { signal: halt.signal }), /mine/);
    answer();
    await first;
    await clock.advance(0);
    answer();
    await third;
    assert.deepEqual(asked, ["a", "c"]);
  });

  it("keeps no turn for a list that is deaf to its signal", async () => {
    const { source, asked, clock } = start(1);
    const halt = new AbortController();
    const deaf = source.list("a", { signal: halt.signal });
    const next = source.list("b", { signal: new AbortController().signal });
    next.catch(() => {});
    halt.abort(new Error("mine"));
    await assert.rejects(deaf, /mine/);
    await clock.advance(0);
    assert.deepEqual(asked, ["a", "b"]);
  });

  it("gives a turn back that ended in an error", async () => {
    const { source, asked, fail, clock } = start(1);
    const first = source.list("a", { signal: new AbortController().signal });
    fail();
    await assert.rejects(first, /a fault/);
    void source.list("b", { signal: new AbortController().signal });
    await clock.advance(0);
    assert.deepEqual(asked, ["a", "b"]);
  });
});

function start(most: number) {
  const asked: string[] = [];
  const pending: { resolve(update: RegistryUpdate): void; reject(error: Error): void }[] = [];
  const { registry } = scriptedRegistry();
  const slow = {
    ...registry,
    list: (service: string) =>
      new Promise<RegistryUpdate>((resolve, reject) => {
        asked.push(service);
        pending.push({ resolve, reject });
      }),
  };
  const answer = (): void => pending.shift()?.resolve({ type: "absent" });
  const fail = (): void => pending.shift()?.reject(new Error("a fault"));
  return { source: inTurns(slow, most), asked, answer, fail, clock: new ManualClock() };
}
