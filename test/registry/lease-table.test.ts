import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { type Held, LeaseTable, newLeaseId, UNPLACED } from "../../src/registry/lease-table.js";
import { ManualClock } from "../../src/testing/index.js";

describe("LeaseTable", () => {
  it("lets a lease fall due at its ttl, never early and at most half a second late, whenever it was granted", async () => {
    for (let offset = 0; offset < 2_000; offset += 37) {
      const { clock, due, grant } = make(1_000 + offset * 1.618);
      grant("first"); // the ticks begin with it
      await clock.advance(offset);
      const last = grant("last");
      await clock.advance(last.ttlMs - 0.5);
      assert.deepEqual(due, ["first"].slice(0, due.length), `${offset} ms`);
      await clock.advance(501);
      assert.deepEqual(due, ["first", "last"], `${offset} ms`);
    }
  });

  it("says once per silence that a beat is late", async () => {
    const { clock, late, table, grant } = make();
    const lease = grant("a", 30_000);
    await clock.advance(25_000);
    assert.deepEqual(late, ["a"]);
    assert.equal(table.renew(lease), false);
    await clock.advance(15_000);
    assert.equal(table.renew(lease), true);
    assert.deepEqual(late, ["a"]);
    await clock.advance(16_000);
    assert.deepEqual(late, ["a", "a"]);
  });

  it("keeps those that are due until they are ended, and takes them back when they are renewed", async () => {
    const { clock, due, table, grant } = make();
    const lease = grant("a");
    await clock.advance(10_000);
    assert.deepEqual([due, table.size], [["a"], 1]);
    table.renew(lease);
    await clock.advance(2_999);
    assert.deepEqual(due, ["a"]);
    await clock.advance(1_000);
    assert.deepEqual(due, ["a", "a"]);
  });

  it("counts nothing of a standstill longer than the ttl", async () => {
    const { clock, due, late, grant } = make();
    grant("a");
    await clock.advance(1_000);
    await clock.stall(3_600_000);
    assert.deepEqual([due, late], [[], []]);
    await clock.advance(3_000);
    assert.deepEqual(due, ["a"]);
  });

  it("counts nothing of several standstills in a row, whoever looks at the clock between them", async () => {
    const { clock, due, table, grant } = make();
    const lease = grant("a");
    for (let count = 0; count < 5; count++) await clock.stall(6_000);
    assert.deepEqual(due, []);
    table.renew(lease);
    assert.equal(table.size, 1);
  });

  it("takes the beat that comes after a standstill before the timers do", async () => {
    const { clock, due, table, grant } = make();
    const [first, second] = [grant("a"), grant("b")];
    await clock.advance(1_000);
    const stalled = clock.stall(60_000); // its timers run once this turn is over
    assert.equal(table.renew(first), true);
    await stalled;
    assert.deepEqual(due, []);
    await clock.advance(2_400);
    assert.deepEqual(due, ["b"]);
    assert.equal(second.bucket, UNPLACED);
    await clock.advance(1_000);
    assert.deepEqual(due, ["b", "a"]);
  });

  it("is not confused by a standstill while it held nothing", async () => {
    const { clock, due, table, grant } = make();
    table.end(grant("a"));
    await clock.advance(2_000);
    await clock.stall(60_000);
    grant("b");
    await clock.advance(2_999);
    assert.deepEqual(due, []);
    await clock.advance(1_000);
    assert.deepEqual(due, ["b"]);
  });

  it("leaves no timer behind once it is closed, and none while it holds nothing", async () => {
    const { clock, table, grant } = make();
    assert.equal(clock.pending, 0);
    table.end(grant("a"));
    await clock.advance(1_000);
    assert.equal(clock.pending, 0);
    grant("b");
    table.close();
    assert.equal(clock.pending, 0);
  });

  it("does not look at a lease that another one's end has ended", async () => {
    const { clock, due, table, grant } = make(1_000, (name) => name === "a" && table.end(other));
    grant("a");
    const other = grant("b");
    await clock.advance(5_000);
    assert.deepEqual(due, ["a"]);
  });

  it("touches each lease three times per ttl, however many there are", async () => {
    const counts = await Promise.all([1_000, 10_000].map(touchesPerLease));
    for (const count of counts) assert.ok(count <= 3, `${count}`);
  });
});

interface Named extends Held {
  readonly name: string;
}

function make(start = 1_000, onLate: (name: string) => unknown = () => {}) {
  const clock = new ManualClock(start);
  const late: string[] = [];
  const due: string[] = [];
  const table = new LeaseTable<Named>(clock, {
    late: ({ name }) => {
      late.push(name);
      onLate(name);
    },
    due: (leases) => due.push(...leases.map(({ name }) => name)),
  });
  const grant = (name: string, ttlMs = 3_000): Named => {
    const held = { name, leaseId: newLeaseId(), ttlMs, beatAt: 0, bucket: UNPLACED };
    table.grant(held);
    return held;
  };
  return { clock, table, late, due, grant };
}

/** How often the table looks at the ttl of a lease that beats three times within it. */
async function touchesPerLease(size: number): Promise<number> {
  const clock = new ManualClock();
  const table = new LeaseTable<Held>(clock, { late: () => assert.fail(), due: (due) => assert.equal(due.length, 0) });
  let touches = 0;
  const leases = Array.from({ length: size }, (_, index) => {
    const held = { leaseId: `${index}`, ttlMs: 30_000, beatAt: 0, bucket: UNPLACED };
    return held;
  });
  for (const held of leases) table.grant(held);
  const bucketsOf = (): number[] => leases.map(({ bucket }) => bucket);
  for (let beat = 0; beat < 3; beat++) {
    const before = bucketsOf();
    await clock.advance(10_000);
    const after = bucketsOf();
    touches += after.filter((bucket, index) => bucket !== before[index]).length;
    for (const held of leases) table.renew(held);
  }
  return touches / size;
}
