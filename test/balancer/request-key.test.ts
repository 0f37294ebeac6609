import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { keyReader } from "../../src/balancer/request-key.js";
import { consistentHash, type KeyedRequest, type KeyRule, roundRobin } from "../../src/index.js";

const read = (rule: KeyRule, head: { path?: string; headers?: unknown }) =>
  keyReader("key", rule)({ path: "/", ...head } as KeyedRequest);

describe("keyReader", () => {
  it("finds a header in every form undici takes", () => {
    for (const headers of [
      { "X-User": "ada" },
      ["accept", "*/*", "x-user", "ada"],
      [
        ["accept", "*/*"],
        ["x-user", "ada"],
      ],
      new Map([["x-user", "ada"]]),
      new Headers({ "x-user": "ada" }),
      { "x-user": ["ada"] },
    ])
      assert.equal(read({ header: "X-USER" }, { headers }), "ada");
    for (const headers of [undefined, null, {}, [], "x-user: ada"])
      assert.equal(read({ header: "x-user" }, { headers }), undefined);
  });

  it("finds a cookie among others", () => {
    assert.equal(read({ cookie: "sid" }, { headers: { cookie: "a=1; sid=4=2 ; xsid=3" } }), "4=2");
    assert.equal(read({ cookie: "sid" }, { headers: { cookie: "xsid=3; sid" } }), undefined);
  });

  it("finds a part of the path, every time anew", () => {
    const reader = keyReader("key", { path: /^\/users\/([^/?]+)/g });
    for (let call = 0; call < 3; call++) assert.equal(reader({ path: "/users/ada?full" }), "ada");
    assert.equal(reader({ path: "/orders" }), undefined);
    assert.equal(read({ path: /tenant-\d+/ }, { path: "/tenant-7/orders" }), "tenant-7");
  });

  it("refuses what is no rule", () => {
    for (const wrong of [{}, "x-user", { header: 1 }, null])
      assert.throws(
        () => keyReader("consistentHash.key", wrong as never),
        /consistentHash\.key must be \{ header: "x-user" \}/,
      );
  });

  it("comes with the balancer that has a rule, and with no other", () => {
    assert.equal(consistentHash({ key: ({ path }) => path }).keyOf?.({ path: "/a" }), "/a");
    assert.equal(consistentHash().keyOf, undefined);
    assert.equal(roundRobin().keyOf, undefined);
  });
});
