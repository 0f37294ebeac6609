import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { DiscoveryError } from "../../src/model/errors.js";
import { healthFromWire, healthToWire } from "../../src/wire/health.js";

const DEFAULTS = { path: "/health", intervalMs: 10_000, timeoutMs: 2_000, failures: 3 };

describe("healthFromWire", () => {
  it("takes absence, null and false for no", () => {
    for (const value of [undefined, null, false]) assert.equal(healthFromWire("health_check", value), undefined);
  });

  it("fills in what is left open", () => {
    assert.deepEqual(healthFromWire("health_check", {}), DEFAULTS);
    assert.deepEqual(healthFromWire("health_check", { path: "/up?deep=1", interval: null, later: 1 }), {
      ...DEFAULTS,
      path: "/up?deep=1",
    });
  });

  it("waits no longer for an answer than until the next question", () => {
    assert.deepEqual(healthFromWire("health_check", { interval: 1 }), {
      ...DEFAULTS,
      intervalMs: 1_000,
      timeoutMs: 1_000,
    });
  });

  it("reads what was written", () => {
    const health = { path: "/ready", intervalMs: 2_500, timeoutMs: 1_500, failures: 5 };
    assert.deepEqual(healthFromWire("health_check", JSON.parse(JSON.stringify(healthToWire(health)))), health);
  });

  it("names the field that is out of range", () => {
    const wrong: [unknown, string][] = [
      [true, "health_check"],
      ["/health", "health_check"],
      [[], "health_check"],
      [{ interval: 0.9 }, "health_check.interval"],
      [{ interval: 3_601 }, "health_check.interval"],
      [{ interval: "10" }, "health_check.interval"],
      [{ timeout: 0.09 }, "health_check.timeout"],
      [{ timeout: 10.1, interval: 60 }, "health_check.timeout"],
      [{ timeout: 3, interval: 2 }, "health_check.timeout"],
      [{ failures: 0 }, "health_check.failures"],
      [{ failures: 1.5 }, "health_check.failures"],
      [{ failures: 101 }, "health_check.failures"],
      [{ path: 1 }, "health_check.path"],
    ];
    for (const [value, field] of wrong) assert.equal(fieldRefusedIn(value), field, JSON.stringify(value));
  });

  it("takes no path that could end the request line, begin another authority or be read in two ways", () => {
    const breaks = [
      "\r",
      "\n",
      "\r\n",
      "\u0000",
      "\t",
      " ",
      "\u0085",
      "\u2028",
      "\u560d\u560a",
      "#",
      "\\",
      "\u007f",
      "é",
    ];
    const paths = breaks.flatMap((each) => [
      `${each}`,
      `/${each}`,
      `/health${each}`,
      `/a${each}host: evil`,
      `${each}/health`,
    ]);
    for (const path of [...paths, "", "health", "//evil.com/x", "http://evil.com/", "*", `/${"a".repeat(256)}`]) {
      assert.equal(fieldRefusedIn({ path }), "health_check.path", JSON.stringify(path));
    }
    for (const path of ["/", "/a//b", "/@evil.com", "/%0d%0a", "/a?b=c&d;e", `/${"a".repeat(255)}`]) {
      assert.equal(fieldRefusedIn({ path }), undefined, path);
    }
  });
});

function fieldRefusedIn(value: unknown): string | undefined {
  try {
    healthFromWire("health_check", value);
    return undefined;
  } catch (error) {
    assert.ok(DiscoveryError.is(error, "INVALID_OPTION"));
    return error.field;
  }
}
