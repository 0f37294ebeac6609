import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, it } from "vitest";
import { command } from "./command.js";

const { run, ended } = command();

describe("mcp-discovery", () => {
  it("says how it is used, and which version it is", async () => {
    for (const asked of ["--help", "-h", "help"]) {
      const { code, out } = await ended(asked);
      assert.equal(code, 0);
      assert.match(out, /registry .*demo |demo .*registry /s);
    }
    assert.match((await ended("--version")).out, /^\d+\.\d+\.\d+\S*\n$/);
    assert.match((await ended("registry", "--help")).out, /--port N/);
  });

  it("ends with 2 for wrong use, and says what was probably meant", async () => {
    assert.equal((await ended()).code, 2);
    const misspelt = await ended("regsitry");
    assert.deepEqual([misspelt.code, /did you mean registry\?/.test(misspelt.err)], [2, true]);
    assert.doesNotMatch((await ended("constructor")).err, /did you mean/);
    for (const option of ["--prot", "--port=x", "--port=70000"]) {
      assert.equal((await ended("registry", option)).code, 2, option);
    }
    assert.match((await ended("registry", "--prot")).err, /'--prot'.*mcp-discovery registry --help/);
    const { err } = await ended("registry", "--port", "abc");
    assert.equal(err, 'mcp-discovery registry: --port must be a port from 0 to 65535, got "abc" (INVALID_OPTION)\n');
  });

  it("ends with 1 where it may not or cannot listen", async () => {
    const open = await ended("registry", "--port", "0", "--host", "0.0.0.0");
    assert.deepEqual([open.code, /--insecure.*INSECURE_BIND/.test(open.err)], [1, true]);
    const { url } = await registry();
    const taken = await ended("registry", "--port", new URL(url).port);
    assert.deepEqual([taken.code, /EADDRINUSE.*--port 0 takes a free one/.test(taken.err)], [1, true]);
  });

  it("takes the spec's own registration, and ends cleanly when it is told to", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const { url, child } = await registry();
      const body =
        '{"service_name":"user-service","host":"192.168.1.100","port":8080,"metadata":{"version":"v1.2","env":"prod"},"ttl":30}';
      const headers = { "content-type": "application/json" };
      const answer = await fetch(`${url}/v1/register`, { method: "POST", headers, body });
      assert.equal(answer.status, 201);
      const watch = await fetch(`${url}/v1/watch?service=user-service`); // an open stream must not hold it up
      child.kill(signal);
      assert.deepEqual(await once(child, "exit"), [0, null]);
      await watch.body?.cancel().catch(() => {});
    }
  });
});

/** Runs a registry on a free port until it is ready. */
async function registry(): Promise<{ url: string; child: ChildProcess }> {
  const child = run("registry", "--port", "0", "--json");
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const [line] = await once(lines, "line");
  const { event, url } = JSON.parse(String(line)) as { event: string; url: string };
  assert.equal(event, "ready");
  return { url, child };
}
