import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, it } from "vitest";
import { knock } from "../../src/runtime/knock.js";

describe("knock", () => {
  it("tells who accepts from who does not listen", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    assert.equal(await knock({ host: "127.0.0.1", port }, new AbortController().signal), "alive");
    server.close();
    await once(server, "close");
    assert.equal(await knock({ host: "127.0.0.1", port }, new AbortController().signal), "refused");
  });

  it("finds nothing out about a name nobody knows, nor when it may not wait", async () => {
    assert.equal(await knock({ host: "no-such-host.invalid", port: 80 }, new AbortController().signal), "unknown");
    assert.equal(await knock({ host: "127.0.0.1", port: 1 }, AbortSignal.abort()), "unknown");
    const halt = new AbortController();
    const waiting = knock({ host: "127.0.0.1", port: 1 }, halt.signal);
    halt.abort();
    assert.equal(await waiting, "unknown");
  });
});
