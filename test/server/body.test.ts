import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { parseFields } from "../../src/server/body.js";
import { Problem } from "../../src/server/problem.js";

describe("parseFields", () => {
  it("takes colons, quotes and backslashes in strings for what they are", () => {
    const fields = { 'a":"b': 'c\\":{"d":1}', e: ["::", { f: "\\" }] };
    assert.deepEqual(parseFields(JSON.stringify(fields)), fields);
  });

  it("refuses a key that stands twice, at any depth and however it is written", () => {
    for (const text of ['{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '{"x":[{"y":{"a":1,"b":2,"a":3}}]}']) refused(text);
  });

  it("refuses keys that mean something to JavaScript, at any depth and however they are written", () => {
    for (const key of ["__proto__", "constructor", "prototype", "\\u005f_proto__", "constructo\\u0072"]) {
      refused(`{"${key}":{}}`);
      refused(`{"metadata":{"${key}":"x"}}`);
      refused(`{"leases":[{"lease_id":"a","more":[{"${key}":1}]}]}`);
    }
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
    assert.deepEqual(parseFields('{"a":"__proto__"}'), { a: "__proto__" }); // a value may say so
  });

  it("refuses depth before it costs the stack", () => {
    for (const depth of [20, 50_000]) {
      refused(`{"a":${"[".repeat(depth)}${"]".repeat(depth)}}`);
      refused(`${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`);
    }
    assert.deepEqual(parseFields('{"leases":[{"a":{}}]}'), { leases: [{ a: {} }] });
  });

  it("refuses what is no object, and halves of one", () => {
    for (const text of [
      "",
      " ",
      "null",
      "1",
      '"a"',
      "[]",
      "{",
      '{"a"',
      '{"a":',
      '{"a":1',
      "{'a':1}",
      "\ufeff{}",
      "{}x",
    ]) {
      refused(text);
    }
  });
});

function refused(text: string): void {
  assert.throws(
    () => parseFields(text),
    (error) => error instanceof Problem && error.status === 400,
    text.slice(0, 60),
  );
}
