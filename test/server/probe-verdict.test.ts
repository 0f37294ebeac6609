import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import { type Evidence, ProbeVerdict } from "../../src/server/probe-verdict.js";

const EVIDENCE: Readonly<Record<string, Evidence>> = {
  G: { passed: true, latencyMs: 1_000 },
  s: { passed: true, latencyMs: 1_001 },
  F: { passed: false, latencyMs: 1 },
};

describe("ProbeVerdict", () => {
  it("fails an instance after so many failures in a row, and not before", () => {
    assert.equal(verdicts("GFFGFFGF", 3), "");
    assert.equal(verdicts("GFFF", 3), "4:failed");
    assert.equal(verdicts("F", 1), "1:failed");
    assert.equal(verdicts("FFFF", 5), "");
  });

  it("takes an instance back when a probe passes", () => {
    assert.equal(verdicts("FFFFFFFG", 3), "3:failed 8:healthy");
    assert.equal(verdicts("FFFFFFFGFFF", 3), "3:failed 8:healthy 11:failed");
  });

  it("calls an instance unstable when two of three are slow, and healthy again after three good ones", () => {
    assert.equal(verdicts("GsGGsGG", 3), "");
    assert.equal(verdicts("GsGs", 3), "4:unstable");
    assert.equal(verdicts("ssGGsGGG", 3), "2:unstable 8:healthy");
  });

  it("fails an unstable instance that stops to answer, and never the other way round by silence", () => {
    assert.equal(verdicts("ssGFFFFF", 3), "2:unstable 6:failed");
    assert.equal(verdicts("FFFsFsF", 3), "3:failed 6:unstable");
    assert.equal(verdicts("FFFGGFG", 3), "3:failed 7:healthy");
  });

  it("stays put while an instance flaps", () => {
    assert.equal(verdicts("GFGFGFGFGFGF", 3), "");
    assert.equal(verdicts("FGFGFGFG", 1), "1:failed 4:healthy 7:failed");
  });

  it("changes its mind at most once in three probes, whatever comes", () => {
    const probes = fc.array(fc.constantFrom("G", "s", "F"), { maxLength: 60 });
    fc.assert(
      fc.property(probes, fc.integer({ min: 1, max: 5 }), (each, failures) => {
        const at = verdicts(each.join(""), failures)
          .split(" ")
          .map((change) => Number.parseInt(change, 10));
        return at.every((place, index) => index === 0 || place - (at[index - 1] ?? 0) >= 3);
      }),
      { seed: 12, numRuns: 2_000 },
    );
  });
});

/** `4:failed`: the fourth probe led to that. */
function verdicts(probes: string, failures: number): string {
  const verdict = new ProbeVerdict(failures);
  const changes = [...probes].map((each, index) => {
    const change = verdict.add(EVIDENCE[each] as Evidence);
    return change ? `${index + 1}:${change}` : "";
  });
  return changes.filter((each) => each).join(" ");
}
