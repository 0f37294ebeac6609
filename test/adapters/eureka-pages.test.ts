import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { pagesIn } from "../../src/adapters/eureka-pages.js";
import { defineInstance } from "../../src/model/instance.js";

const fields = { service: "orders", host: "127.0.0.1", port: 3_000 } as const;

describe("the pages of an instance in Eureka", () => {
  it("are at its own address, or wherever a URL says", () => {
    const pages = pagesIn({ statusPageUrl: "/info", healthCheckUrl: "https://orders.internal/health" });
    assert.deepEqual(pages(defineInstance(fields)), {
      statusPageUrl: "http://127.0.0.1:3000/info",
      healthCheckUrl: "https://orders.internal/health",
    });
    assert.equal(
      pages(defineInstance({ ...fields, host: "::1", protocol: "https" })).statusPageUrl,
      "https://[::1]:3000/info",
    );
  });

  it("are none unless somebody says so", () => {
    assert.deepEqual(pagesIn({})(defineInstance(fields)), {});
  });
});
