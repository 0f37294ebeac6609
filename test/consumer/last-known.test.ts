import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, it } from "vitest";
import { shelf } from "../../src/consumer/last-known.js";
import { ManualClock } from "../../src/testing/index.js";
import { orders } from "../fakes/scripted-registry.js";

const scratch = mkdtempSync(join(tmpdir(), "mcp-discovery-shelf-"));
let folders = 0;
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe("a shelf of last known lists", () => {
  it("gives a later process the newest list, and says how old it is", async () => {
    const { clock, mine, another } = start();
    mine.keep("orders", orders(1), "e");
    mine.keep("orders", orders(1, 2), "e");
    await clock.advance(1_000);
    await mine.close();
    await clock.advance(60_000);
    const found = await another().find("orders");
    assert.deepEqual(found?.instances, orders(1, 2));
    assert.deepEqual([found?.epoch, found?.ageMs], ["e", 61_000]);
  });

  it("writes once for a storm of changes, and what is left when it is closed", async () => {
    const { clock, mine, another, written } = start();
    for (let port = 1; port <= 100; port++) mine.keep("orders", orders(port), "e");
    await clock.advance(999);
    assert.equal(written(), 0);
    await mine.close();
    assert.equal(written(), 1);
    assert.deepEqual((await another().find("orders"))?.instances, orders(100));
  });

  it("does not use lists older than a day, of another registry, or that were never kept", async () => {
    const { clock, mine, another } = start();
    mine.keep("orders", orders(1), undefined);
    await mine.close();
    assert.equal(await another("elsewhere").find("orders"), undefined);
    assert.equal(await another().find("carts"), undefined);
    await clock.advance(24 * 3_600_000 + 1);
    assert.equal(await another().find("orders"), undefined);
  });

  it("keeps the last list that named somebody", async () => {
    const { mine, another } = start();
    mine.keep("orders", orders(1), undefined);
    mine.keep("orders", [], undefined);
    await mine.close();
    assert.equal((await another().find("orders"))?.instances.length, 1);
  });

  it("takes a clock that was set back for no time at all", async () => {
    const { clock, mine, another } = start();
    mine.keep("orders", orders(1), undefined);
    await mine.close();
    clock.setWall(clock.wall() - 10 * 365 * 86_400_000);
    assert.equal((await another().find("orders"))?.ageMs, 0);
  });

  it("passes over a file that is torn, and says so", async () => {
    const { folder, mine, another, failures } = start();
    mine.keep("orders", orders(1), undefined);
    await mine.close();
    writeFileSync(join(folder, readdirSync(folder)[0] as string), "rubbish");
    assert.equal(await another().find("orders"), undefined);
    assert.match(String(failures), /The list of orders is not used: it is torn/);
  });

  it("passes over a file that anybody may have written, and says so", async () => {
    const { folder, mine, another, failures } = start();
    mine.keep("orders", orders(1), undefined);
    await mine.close();
    chmodSync(join(folder, readdirSync(folder)[0] as string), 0o666);
    assert.equal(await another().find("orders"), undefined);
    assert.match(String(failures), /The list of orders is not used: it is writable by others/);
  });

  it("only says so where it cannot write", async () => {
    const { clock, failures } = start();
    const blocked = join(scratch, "a-file");
    writeFileSync(blocked, "");
    const shut = shelf({ folder: blocked, registry: "here", clock, failed: (error) => failures.push(String(error)) });
    shut.keep("orders", orders(1), undefined);
    await shut.close();
    assert.equal(failures.length, 1);
  });
});

function start() {
  const clock = new ManualClock();
  const folder = join(scratch, String(folders++));
  const failures: string[] = [];
  const failed = (error: unknown): void => void failures.push(String(error));
  const another = (registry = "here") => shelf({ folder, registry, clock, failed });
  const written = (): number => {
    try {
      return readdirSync(folder).length;
    } catch {
      return 0;
    }
  };
  return { clock, folder, mine: another(), another, failures, written };
}
