import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { DiscoveryError } from "../../src/model/errors.js";
import { defineInstance, inStatus } from "../../src/model/instance.js";
import type { RegistryUpdate } from "../../src/model/update.js";
import {
  epochOf,
  fromEvent,
  fromWire,
  positionIn,
  positionOf,
  revisionOf,
  toEvent,
  toWire,
} from "../../src/wire/json.js";

const instance = defineInstance({
  service: "orders",
  host: "::1",
  port: 443,
  id: "one",
  protocol: "https",
  weight: 0.5,
  zone: "eu-1",
  version: "v1.2",
  tags: ["blue"],
  metadata: { env: "prod" },
  status: "draining",
  ttlMs: 4_500,
  registeredAt: 1_700_000_000_123,
  incarnation: 7,
});

describe("an instance on the wire", () => {
  it("comes back as it was, its durations in seconds on the way", () => {
    const wire = JSON.parse(JSON.stringify(toWire(instance)));
    assert.deepEqual([wire.ttl, wire.registered_at, wire.service_name], [4.5, 1_700_000_000.123, "orders"]);
    assert.deepEqual(fromWire(wire), instance);
    assert.ok(Object.keys(wire).every((key) => /^[a-z]+(_[a-z]+)*$/.test(key)));
  });

  it("takes null for what is not said, and skips what it does not know", () => {
    const silent = { id: null, protocol: null, weight: null, zone: null, tags: null, metadata: null, status: null };
    const read = fromWire({ service_name: "a", host: "b", port: 1, ...silent, ...{ shoe_size: 44 } });
    assert.deepEqual(read, defineInstance({ service: "a", host: "b", port: 1 }));
  });

  it("is checked like one that was made here", () => {
    for (const wrong of [{ host: "a/b" }, { port: "80" }, { weight: -1 }, { status: "dead" }, { tags: [1] }]) {
      const wire = { service_name: "a", host: "b", port: 1, ...wrong };
      assert.throws(
        () => fromWire(wire),
        (error) => DiscoveryError.is(error, "INVALID_OPTION"),
      );
    }
  });
});

describe("an update on the wire", () => {
  it("leaves out the records that cannot be read and counts them", () => {
    const good = toWire(instance);
    const records = [good, null, 7, "x", { ...good, host: "evil.com/" }, { ...good, port: 0 }];
    const list = fromEvent({ event: "snapshot", epoch: "e", revision: 1, instances: records });
    assert.deepEqual(list?.type === "reset" && [list.instances.length, list.invalid], [1, 5]);
    const delta = fromEvent({ event: "delta", epoch: "e", since: 1, revision: 2, added: records, updated: records });
    assert.deepEqual(delta?.type === "change" && [delta.upserted.length, delta.invalid], [2, 10]);
  });

  it("believes no reason it does not know", () => {
    const removed = [{ id: "a", reason: "deregistered" }, { id: "b", reason: "because" }, { id: "c" }];
    const update = fromEvent({ event: "delta", epoch: "e", revision: 2, removed });
    assert.deepEqual(update?.type === "change" && update.removed.map(({ reason }) => reason), [
      "deregistered",
      undefined,
      undefined,
    ]);
  });

  it("is refused as a whole where its frame is broken", () => {
    const broken = [
      null,
      7,
      "snapshot",
      { event: "snapshot" },
      { event: "snapshot", instances: {} },
      { event: "delta", revision: 1 },
      { event: "delta", epoch: "e", revision: 1, removed: [null] },
      { event: "delta", epoch: "e", revision: 1, removed: {} },
      { event: "delta", epoch: "e", revision: 1, added: 7 },
    ];
    for (const line of broken) {
      assert.throws(
        () => fromEvent(line),
        (error) => DiscoveryError.is(error, "PROTOCOL"),
        JSON.stringify(line),
      );
    }
  });

  it("skips events of servers to come", () => {
    assert.equal(fromEvent({ event: "hello", watch_id: "x" }), undefined);
    assert.equal(fromEvent({ event: "weather" }), undefined);
  });

  it("asks to be acknowledged when somebody leaves on purpose, and for nothing else", () => {
    const change = { type: "change", upserted: [], removed: [], position: "e:2" } as const;
    const asks = (update: RegistryUpdate): unknown => toEvent("orders", update).ack;
    assert.equal(asks({ ...change, removed: [{ id: "one", reason: "deregistered" }] }), true);
    assert.equal(asks({ ...change, upserted: [inStatus(instance, "draining")] }), true);
    assert.equal(
      asks({ ...change, upserted: [inStatus(instance, "healthy")], removed: [{ id: "one", reason: "expired" }] }),
      undefined,
    );
    assert.equal(asks({ type: "reset", instances: [], position: "e:2" }), undefined);
  });

  it("carries the place of a registry that has no epoch", () => {
    const update: RegistryUpdate = { type: "reset", instances: [], position: "1234" };
    const { epoch, revision } = toEvent("orders", update);
    assert.deepEqual([epoch, revision], ["", 1234]);
    assert.equal(positionIn(positionOf(epoch, revision) ?? ""), "1234");
  });
});

describe("a position", () => {
  it("falls into epoch and revision at its last colon", () => {
    assert.deepEqual([epochOf("a:b:7"), revisionOf("a:b:7")], ["a:b", 7]);
    assert.deepEqual([epochOf("7"), revisionOf("7")], ["", 7]);
    assert.deepEqual([epochOf(undefined), revisionOf(undefined), revisionOf("a:b")], ["", 0, 0]);
    assert.deepEqual([positionOf("e", 7), positionOf("e", "7"), positionOf(7, 7)], ["e:7", undefined, undefined]);
  });
});
