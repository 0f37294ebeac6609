import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import { hashOf, murmur3, murmur3Bytes } from "../../src/balancer/murmur3.js";

const bytesOf = (text: string): Buffer => Buffer.from(text, "utf16le");

describe("murmur3", () => {
  it("gives what the published algorithm gives for bytes", () => {
    const known: readonly [string, number, number][] = [
      ["", 0, 0],
      ["", 1, 0x514e28b7],
      ["", 0xffffffff, 0x81f16f39],
      ["ffffffff", 0, 0x76293b50],
      ["21436587", 0, 0xf55b516b],
      ["21436587", 0x5082edee, 0x2362f9de],
      ["214365", 0, 0x7e4a8634],
      ["2143", 0, 0xa0f7b07a],
      ["21", 0, 0x72661cf4],
      ["00000000", 0, 0x2362f9de],
    ];
    for (const [hex, seed, expected] of known)
      assert.equal(murmur3Bytes(Buffer.from(hex, "hex"), seed) >>> 0, expected, hex);
    assert.equal(murmur3Bytes(Buffer.from("Hello, world!"), 0x9747b28c) >>> 0, 0x24884cba);
    assert.equal(
      murmur3Bytes(Buffer.from("The quick brown fox jumps over the lazy dog"), 0x9747b28c) >>> 0,
      0x2fa826cd,
    );
  });

  it("hashes a string as its UTF-16LE bytes, in every script and length", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), fc.integer(), (text, seed) => {
        assert.equal(murmur3(text, seed), murmur3Bytes(bytesOf(text), seed));
      }),
      { seed: 42, numRuns: 500 },
    );
    assert.equal(murmur3("\ud800"), murmur3Bytes(Uint8Array.of(0x00, 0xd8)), "half a character is a code unit too");
  });
});

describe("hashOf", () => {
  it("takes numbers and bigints for their digits", () => {
    assert.equal(hashOf(42), hashOf("42"));
    assert.equal(hashOf(2n ** 64n), hashOf("18446744073709551616"));
    assert.equal(hashOf(Buffer.from("42", "utf16le")), hashOf("42"));
  });

  it("refuses what no key can be", () => {
    for (const wrong of [{}, true, Symbol("a")])
      assert.throws(() => hashOf(wrong as never), { code: "INVALID_OPTION", message: /key must be a string/ });
  });
});
