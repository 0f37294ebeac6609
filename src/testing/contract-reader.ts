import assert from "node:assert/strict";
import type { Position, RegistryUpdate } from "../model/update.js";
import type { Registry } from "../registry/registry.js";

/** A watcher that believes everything it is told, and fails on a gap. */
export function reading(registry: Registry, signal: AbortSignal, since?: Position, before: readonly string[] = []) {
  const iterator = registry.watch?.("orders", { since, signal })[Symbol.asyncIterator]();
  assert.ok(iterator, "a registry under contract can watch");
  const known = new Set(before);
  const reader = {
    position: since,
    removals: [] as unknown[],
    get known(): string[] {
      return [...known].sort();
    },
    async next(): Promise<RegistryUpdate> {
      const { value, done } = await iterator.next();
      assert.ok(!done, "the watch ended");
      const update = value as RegistryUpdate;
      take(update);
      return update;
    },
    async until(count: number): Promise<string[]> {
      do await reader.next();
      while (known.size !== count);
      return reader.known;
    },
  };
  return reader;

  function take(update: RegistryUpdate): void {
    if (update.type === "absent" || update.type === "current") return;
    if (update.type === "reset") known.clear();
    else assert.equal(update.since, reader.position, "a change that follows on what was told before");
    const present = update.type === "reset" ? update.instances : update.upserted;
    for (const { id } of present) known.add(id);
    if (update.type === "change") {
      for (const removal of update.removed) if (known.delete(removal.id)) reader.removals.push(removal);
    }
    reader.position = update.position;
  }
}
