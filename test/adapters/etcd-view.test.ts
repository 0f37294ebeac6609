import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { after, base64, EtcdKeys } from "../../src/adapters/etcd-keys.js";
import { toEtcd } from "../../src/adapters/etcd-record.js";
import { type EtcdEvent, EtcdView } from "../../src/adapters/etcd-view.js";
import { defineInstance } from "../../src/model/instance.js";

const keys = new EtcdKeys("/p/");

describe("EtcdKeys", () => {
  it("finds in a key the service, the id and the life it was made of, whatever the id holds", () => {
    for (const id of ["orders@127.0.0.1:80", "a/b", "100%", "%2F", "ü/%25"]) {
      const life = { service: "orders", id, life: "0a" };
      assert.deepEqual(keys.lifeIn("orders", keys.life(life)), life);
    }
    assert.equal(keys.lifeIn("orders", keys.left("orders")), undefined);
    assert.equal(keys.lifeIn("orders", base64("/p/services/order/instances/a/1")), undefined);
  });

  it("spans the keys of one service and of no other", () => {
    const { key, range_end } = keys.service("orders");
    const isIn = (text: string): boolean =>
      Buffer.compare(Buffer.from(text), Buffer.from(key, "base64")) >= 0 &&
      Buffer.compare(Buffer.from(text), Buffer.from(range_end, "base64")) < 0;
    assert.ok(isIn("/p/services/orders/instances/a/1") && isIn("/p/services/orders/\u{10ffff}"));
    assert.ok(!isIn("/p/services/orders2/instances/a/1") && !isIn("/p/services/orders"));
  });

  it("reads on after a key with the next one there can be", () => {
    assert.deepEqual(Buffer.from(after(base64("a")), "base64"), Buffer.from("a\0"));
  });
});

describe("EtcdView", () => {
  it("says of those whose deletion comes with a note that they deregistered, of others that they expired", () => {
    const view = viewOf(put("a", "1", 5), put("b", "1", 6));
    const { removed } = view.take([note("a", 7), gone("a", "1", 7), note("b", 8), gone("b", "1", 9)]);
    assert.deepEqual(removed, [
      { id: "a", reason: "deregistered" },
      { id: "b", reason: "expired" },
    ]);
  });

  it("takes one life in the place of another for a change, not for a departure", () => {
    const view = viewOf(put("a", "1", 5));
    const { upserted, removed } = view.take([gone("a", "1", 6), put("a", "2", 6, 6)]);
    assert.deepEqual([upserted.map(({ incarnation }) => incarnation), removed], [[6], []]);
  });

  it("keeps the present life when an earlier one is deleted late", () => {
    const view = viewOf(put("a", "2", 6), put("a", "1", 5));
    assert.deepEqual(view.take([gone("a", "1", 7)]).removed, []);
    assert.deepEqual(
      view.instances().map(({ incarnation }) => incarnation),
      [6],
    );
  });

  it("forgets who comes and goes in one answer", () => {
    const { upserted, removed } = viewOf().take([put("a", "1", 5), gone("a", "1", 6)]);
    assert.deepEqual([upserted, removed.map(({ id }) => id)], [[], ["a"]]);
  });

  it("counts what cannot be read, and no longer lists whoever becomes unreadable", () => {
    const view = viewOf(put("a", "1", 5), put("b", "1", 6));
    const { removed, invalid } = view.take([{ kv: { ...put("a", "1", 7).kv, value: base64("{") } }]);
    assert.deepEqual([removed, invalid, view.invalid], [[{ id: "a" }], 1, 1]);
    assert.deepEqual(
      view.instances().map(({ id }) => id),
      ["b"],
    );
  });

  it("does not list a record that says to be somebody else than its key", () => {
    const { kv } = put("a", "1", 5);
    assert.equal(viewOf({ kv: { ...kv, value: put("b", "1", 5).kv.value } }).invalid, 1);
  });

  it("names different contents differently, and the same the same", () => {
    const [one, two] = [viewOf(put("a", "1", 5), put("b", "1", 6)), viewOf(put("b", "1", 6), put("a", "1", 5))];
    assert.equal(one.mark, two.mark);
    const marks = [one.mark];
    for (const event of [put("a", "1", 7), gone("a", "1", 8), put("c", "1", 9)]) {
      one.take([event]);
      marks.push(one.mark);
    }
    assert.equal(new Set(marks).size, 4);
    one.take([gone("c", "1", 10)]);
    assert.equal(one.mark, marks[2]);
  });
});

function viewOf(...puts: readonly { readonly kv: Required<Put> }[]): EtcdView {
  return new EtcdView(
    keys,
    "orders",
    puts.map(({ kv }) => kv),
  );
}

interface Put {
  readonly key: string;
  readonly value: string;
  readonly create_revision: string;
  readonly mod_revision: string;
}

function put(id: string, life: string, modified: number, created = modified): { readonly kv: Put } {
  const value = toEtcd(defineInstance({ id, service: "orders", host: "127.0.0.1", port: 80 }));
  const key = keys.life({ service: "orders", id, life });
  return { kv: { key, value, create_revision: String(created), mod_revision: String(modified) } };
}

function gone(id: string, life: string, modified: number): EtcdEvent {
  return { type: "DELETE", kv: { key: keys.life({ service: "orders", id, life }), mod_revision: String(modified) } };
}

function note(id: string, modified: number): EtcdEvent {
  return { kv: { key: keys.left("orders"), value: base64(id), mod_revision: String(modified) } };
}
