import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { describe, it } from "vitest";
import { defineInstance } from "../../src/model/instance.js";
import { createRegistryServer } from "../../src/server/index.js";
import { startBackend } from "../fakes/backend.js";
import { openLines } from "../fakes/lines.js";
import { keep } from "../opened.js";

describe("a reader that cannot be written to, in a server of somebody else's", () => {
  it("costs neither the other readers their stream nor whoever made the change its answer", async () => {
    const { responses, register, watch } = await start();
    const [, lines] = [await watch(), await watch()];
    const [broken] = responses;
    Object.assign(broken as ServerResponse, {
      write: () => {
        throw new Error("a middleware has failed");
      },
    });
    assert.ok((await register(1)).instance.incarnation > 0);
    assert.equal((await lines.next()).event, "snapshot");
    await register(2);
    assert.equal((await lines.next()).event, "delta");
    assert.ok(broken?.destroyed);
  });

  it("is written to no more once its answer was ended, which would end the process", async () => {
    const { responses, register, watch } = await start();
    const [ended, lines] = [await watch(), await watch()];
    responses[0]?.end();
    await register(1);
    assert.equal((await lines.next()).event, "snapshot");
    assert.equal(await ended.next(), undefined);
  });
});

async function start() {
  const server = keep(createRegistryServer({ port: 0, warmingMs: 0 }));
  const responses: ServerResponse[] = [];
  const { port } = keep(
    await startBackend((request, response) => {
      responses.push(response);
      server.handle(request, response);
    }),
  );
  const watch = async () => {
    const lines = await openLines(`http://127.0.0.1:${port}/v1/watch?service=orders`);
    keep({ close: lines.end });
    assert.deepEqual([(await lines.next()).event, (await lines.next()).event], ["hello", "absent"]);
    return lines;
  };
  const register = (port: number) => {
    const instance = defineInstance({ service: "orders", host: "10.0.0.1", port });
    return server.registry.register(instance, { ttlMs: 9_000, signal: new AbortController().signal });
  };
  return { responses, register, watch };
}
