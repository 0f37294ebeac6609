import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import { decodePayload, encodePayload } from "../../src/adapters/nacos-payload.js";
import { DiscoveryError } from "../../src/model/errors.js";

const ENVELOPE = { clientIp: "10.0.0.1", token: "secret" };

describe("encodePayload()", () => {
  it("writes what Nacos reads: the fields of its definition by their numbers", () => {
    const bytes = encodePayload({ type: "A", body: {} }, { clientIp: "1", token: "t" });
    const header = `3a100a0b${hex("accessToken")}1201${hex("t")}`;
    const metadata = `1a01${hex("A")}4201${hex("1")}${header}`;
    const body = `1202${hex("{}")}`;
    assert.equal(bytes.toString("hex"), `12${size(metadata)}${metadata}` + `1a${size(body)}${body}`);
  });

  it("sends no header where nobody is logged in", () => {
    const bytes = encodePayload({ type: "A", body: {} }, { clientIp: "1", token: undefined });
    assert.ok(!bytes.includes("accessToken"));
  });
});

describe("decodePayload()", () => {
  it("reads what was written, however long", () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1 }),
        fc.dictionary(fc.string(), fc.string({ maxLength: 400 })),
        (type, values) => {
          const body = Object.fromEntries(Object.entries(values)); // JSON keeps no prototype
          assert.deepEqual(decodePayload(encodePayload({ type, body }, ENVELOPE)), { type, body });
        },
      ),
    );
    const body = { long: "ä".repeat(100_000) };
    assert.deepEqual(decodePayload(encodePayload({ type: "A", body }, ENVELOPE)).body, body);
  });

  it("passes over fields it does not know, of every kind", () => {
    const known = encodePayload({ type: "A", body: { a: 1 } }, ENVELOPE);
    const unknown = ["08ffffffffffffffffff01", "390102030405060708", "4203010203", "4d01020304"];
    const bytes = Buffer.concat([Buffer.from(unknown.join(""), "hex"), known]);
    assert.deepEqual(decodePayload(bytes), { type: "A", body: { a: 1 } });
  });

  it("takes a payload without a body for an empty one", () => {
    assert.deepEqual(decodePayload(Buffer.from("12031a0141", "hex")), { type: "A", body: {} });
  });

  for (const [what, bytes] of [
    ["no bytes at all", ""],
    ["a payload without a type", "1200"],
    ["a length beyond the end", "12ff01"],
    ["a length of 2⁶³", "12ffffffffffffffff7f"],
    ["a number without end", "12ffffffffffffffffffffff"],
    ["a group, which nobody writes any more", "13"],
    ["a body that is no JSON", `12031a01411a0312017b`],
    ["a body that is a list", `12031a01411a0412025b5d`],
    ["a body that is null", `12031a01411a0612046e756c6c`],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => decodePayload(Buffer.from(bytes, "hex")),
        (error) => DiscoveryError.is(error, "PROTOCOL"),
      );
    });
  }

  it("answers any bytes with a payload or with PROTOCOL, never otherwise", () => {
    const valid = encodePayload({ type: "NotifySubscriberRequest", body: { serviceInfo: { hosts: [] } } }, ENVELOPE);
    const cut = fc.nat(valid.length).map((length) => valid.subarray(0, length));
    const damaged = fc.tuple(fc.nat(valid.length - 1), fc.nat(255)).map(([at, byte]) => {
      const bytes = Buffer.from(valid);
      bytes[at] = byte;
      return bytes;
    });
    const any: fc.Arbitrary<Uint8Array> = fc.oneof(cut, damaged, fc.uint8Array({ maxLength: 200 }));
    fc.assert(
      fc.property(any, (bytes) => {
        try {
          assert.equal(typeof decodePayload(bytes).type, "string");
        } catch (error) {
          assert.ok(DiscoveryError.is(error, "PROTOCOL"), String(error));
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

function hex(text: string): string {
  return Buffer.from(text).toString("hex");
}

function size(content: string): string {
  return (content.length / 2).toString(16).padStart(2, "0");
}
