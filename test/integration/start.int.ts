import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { startRegistry, whyMissing } from "../registries/start.js";

const missing = await whyMissing("consul.sh");

describe.skipIf(missing)("startRegistry", () => {
  it("starts a real server on a free port, and ends it", async () => {
    const server = await startRegistry("consul.sh");
    assert.match(await (await fetch(`${server.url}/v1/status/leader`)).text(), /127\.0\.0\.1/);
    await server.stop();
    await assert.rejects(fetch(server.url));
  });

  it("says why a server cannot start", async () => {
    await assert.rejects(startRegistry("consul.sh", ["--sport", "1"]), /unknown option --sport/);
  });
});
