import assert from "node:assert/strict";
import { DiscoveryError, type ErrorCode } from "../src/model/errors.js";

/** A call fails with that code, and with these words. */
export function rejects(call: Promise<unknown>, code: ErrorCode, pattern: RegExp): Promise<void> {
  return assert.rejects(call, (error) => {
    assert.ok(DiscoveryError.is(error, code), String(error));
    assert.match(error.message, pattern);
    return true;
  });
}
