import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import { DiscoveryError } from "../../src/index.js";
import { versionRange } from "../../src/model/version-range.js";

/** Ranges with versions inside and outside, as npm's own documentation of ranges gives them. */
const TABLE: readonly (readonly [range: string, inside: readonly string[], outside: readonly string[]])[] = [
  ["^1.2.3", ["1.2.3", "1.9.0", "v1.2.3"], ["1.2.2", "2.0.0", "2.0.0-alpha", "1.2.4-beta"]],
  ["^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "0.2.2"]],
  ["^0.0.3", ["0.0.3"], ["0.0.4", "0.0.2"]],
  ["^0.0", ["0.0.0", "0.0.9"], ["0.1.0"]],
  ["^0.x", ["0.0.0", "0.9.0"], ["1.0.0"]],
  ["^1.2.3-beta.2", ["1.2.3-beta.2", "1.2.3-rc", "1.2.3"], ["1.2.3-beta.1", "1.2.4-beta.3"]],
  ["~1.2.3", ["1.2.3", "1.2.9"], ["1.3.0", "1.2.2"]],
  ["~1.2", ["1.2.0", "1.2.9"], ["1.3.0"]],
  ["~1", ["1.0.0", "1.9.9"], ["2.0.0", "0.9.9"]],
  ["1.x", ["1.0.0", "1.99.0"], ["2.0.0", "0.1.0"]],
  ["1.2.*", ["1.2.0", "1.2.7"], ["1.3.0"]],
  ["*", ["0.0.0", "9.9.9", "v1.2"], ["1.0.0-alpha", "blue"]],
  ["", ["1.0.0"], ["1.0.0-alpha"]],
  ["1.2.3", ["1.2.3", "1.2.3+build.7", "v1.2.3"], ["1.2.4", "1.2.3-rc"]],
  [">1.2", ["1.3.0"], ["1.2.9"]],
  ["<=1.2", ["1.2.9", "0.1.0"], ["1.3.0"]],
  ["<1.2", ["1.1.9"], ["1.2.0", "1.2.0-0"]],
  [">= 1.2.3 <2", ["1.2.3", "1.9.0"], ["2.0.0", "1.2.2"]],
  ["1.2.3 - 2.3", ["1.2.3", "2.3.9"], ["2.4.0", "1.2.2"]],
  ["1.2 - 2", ["1.2.0", "2.9.9"], ["3.0.0"]],
  ["<1.0.0 || ^2.1", ["0.9.0", "2.1.0"], ["1.5.0", "2.0.9"]],
  [">1.2.3-alpha.3", ["1.2.3-alpha.7", "3.4.5"], ["3.4.5-alpha.9", "1.2.3-alpha.3"]],
  ["v1.2", ["v1.2", "1.2.0", "1.2.5"], ["v1.3"]],
  [">*", [], ["1.0.0", "0.0.0"]],
];

describe("versionRange", () => {
  for (const [range, inside, outside] of TABLE) {
    it(`reads "${range}" as npm does`, () => {
      const holds = versionRange("version", range);
      for (const version of inside) assert.ok(holds(version), `${version} is in ${range}`);
      for (const version of outside) assert.ok(!holds(version), `${version} is not in ${range}`);
    });
  }

  it("holds no instance without a version, or with one that is none", () => {
    const any = versionRange("version", "*");
    for (const version of [undefined, "", "latest", "1.2.3.4", "1.2.3-", "9999999999999999.0.0"]) {
      assert.equal(any(version), false, String(version));
    }
  });

  it("refuses what is no range, by name", () => {
    for (const range of ["latest", "^", "1.2.3.4", ">=1 <", "1 || two", "x".repeat(300), 1, null]) {
      assert.throws(
        () => versionRange("resolver.version", range),
        (error) => DiscoveryError.is(error, "INVALID_OPTION") && /^resolver\.version must be/.test(error.message),
        String(range),
      );
    }
  });

  it("puts releases of a caret range between its lowest and its next breaking version, and nothing else", () => {
    fc.assert(
      fc.property(triple(), triple(), (low, version) => {
        const first = low.findIndex((part) => part > 0);
        const breaking = low.map((part, index) => (index < first ? part : index === first ? part + 1 : 0));
        const bound = first < 0 ? [0, 0, 1] : breaking;
        const expected = order(version, low) >= 0 && order(version, bound) < 0;
        assert.equal(versionRange("version", `^${low.join(".")}`)(version.join(".")), expected);
      }),
    );
  });

  it("agrees with the order of versions for every comparator", () => {
    fc.assert(
      fc.property(triple(), triple(), (bound, version) => {
        const compared = order(version, bound);
        const holds = (operator: string): boolean =>
          versionRange("version", `${operator}${bound.join(".")}`)(version.join("."));
        assert.equal(holds("<"), compared < 0);
        assert.equal(holds("<="), compared <= 0);
        assert.equal(holds(">"), compared > 0);
        assert.equal(holds(">="), compared >= 0);
        assert.equal(holds("="), compared === 0);
      }),
    );
  });

  it("is the union of its alternatives and the cut of its comparators", () => {
    const simple = fc
      .tuple(fc.constantFrom("^", "~", ">=", "<", ""), triple())
      .map(([sign, at]) => sign + at.join("."));
    fc.assert(
      fc.property(simple, simple, triple(), (a, b, at) => {
        const version = at.join(".");
        const inA = versionRange("version", a)(version);
        const inB = versionRange("version", b)(version);
        assert.equal(versionRange("version", `${a} || ${b}`)(version), inA || inB);
        assert.equal(versionRange("version", `${a} ${b}`)(version), inA && inB);
      }),
    );
  });

  it("lets a prerelease in only where the range names one of the same version", () => {
    fc.assert(
      fc.property(triple(), triple(), (bound, at) => {
        const version = `${at.join(".")}-rc.1`;
        assert.equal(versionRange("version", `>=${bound.join(".")}`)(version), false);
        assert.equal(versionRange("version", `>=${bound.join(".")}-rc.0`)(version), order(at, bound) === 0);
      }),
    );
  });

  it("answers hostile text at once, whatever it is", () => {
    fc.assert(
      fc.property(hostile(), hostile(), (range, version) => {
        try {
          versionRange("version", range)(version);
        } catch (error) {
          assert.ok(DiscoveryError.is(error, "INVALID_OPTION"));
        }
      }),
    );
  });
});

/** Text made of what ranges are made of: what a slow expression would stumble over. */
function hostile(): fc.Arbitrary<string> {
  return fc
    .array(fc.constantFrom(..."0123456789.-+xX*^~<>=v| \t\n\u00e9"), { maxLength: 300 })
    .map((each) => each.join(""));
}

function triple(): fc.Arbitrary<readonly number[]> {
  const part = fc.integer({ min: 0, max: 3 });
  return fc.tuple(part, part, part);
}

function order(a: readonly number[], b: readonly number[]): number {
  for (let index = 0; index < 3; index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
