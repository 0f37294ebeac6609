import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { signatureOf } from "../../src/adapters/nacos-signature.js";

const KEY = { accessKey: "LTAI1", secretKey: "s3cret" };
const AT = 1_700_000_000_000;

describe("signatureOf", () => {
  it("is what openssl makes of the time and the service", () => {
    assert.deepEqual(signatureOf(KEY, "DEFAULT_GROUP@@orders", AT), {
      ak: "LTAI1",
      data: "1700000000000@@DEFAULT_GROUP@@orders",
      signature: "rg30m2mzTrfgrtjZ4xzE/qm5FhQ=",
    });
  });

  it("is of the time alone where no service is asked about", () => {
    assert.equal(signatureOf(KEY, undefined, AT).data, "1700000000000");
  });
});
