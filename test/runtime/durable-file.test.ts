import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, it } from "vitest";
import { readDurably, writeDurably } from "../../src/runtime/durable-file.js";

const scratch = mkdtempSync(join(tmpdir(), "mcp-discovery-durable-"));
let files = 0;
const fresh = (): string => join(scratch, `folder-${files++}`, "a.list");
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe("a durable file", () => {
  it("gives back what was written last, and leaves nothing beside it", async () => {
    const path = fresh();
    await writeDurably(path, "first");
    await writeDurably(path, "second\nwith lines");
    assert.deepEqual(await readDurably(path), { text: "second\nwith lines" });
    assert.deepEqual(readdirSync(join(path, "..")), ["a.list"]);
  });

  it("is for its owner alone, and so is the folder it makes", async () => {
    const path = fresh();
    await writeDurably(path, "secret");
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(join(path, "..")).mode & 0o777, 0o700);
  });

  it("is not believed when it was cut anywhere, or changed", async () => {
    const path = fresh();
    await writeDurably(path, "some text that is long enough to be cut");
    const whole = readFileSync(path);
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      assert.deepEqual(await readDurably(path), { ignored: "torn" }, `cut after ${length} bytes`);
    }
    const changed = Buffer.from(whole);
    changed[changed.length - 1] = 0x58;
    writeFileSync(path, changed);
    assert.deepEqual(await readDurably(path), { ignored: "torn" });
  });

  it("is not believed when others could have written it", async () => {
    const path = fresh();
    await writeDurably(path, "text");
    chmodSync(path, 0o620);
    assert.deepEqual(await readDurably(path), { ignored: "writable by others" });
    chmodSync(path, 0o600);
    if (process.getuid?.() !== 0) return; // only root can give files away
    chownSync(path, 65_534, 65_534);
    assert.deepEqual(await readDurably(path), { ignored: "foreign" });
  });

  it("says when there is none", async () => {
    assert.deepEqual(await readDurably(fresh()), { ignored: "missing" });
  });

  it("keeps what was there when it cannot be written", async () => {
    const path = fresh();
    await writeDurably(path, "before");
    await assert.rejects(writeDurably(join(path, "below-a-file"), "x"), /EEXIST|ENOTDIR/);
    assert.deepEqual(await readDurably(path), { text: "before" });
  });
});
