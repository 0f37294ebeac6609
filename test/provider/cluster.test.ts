import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { setTimeout as pass } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, it } from "vitest";
import { createResolver, defineInstance, type ResolverClient } from "../../src/index.js";
import { asWorker } from "../../src/provider/cluster-worker.js";
import { createRegistryServer, type RegistryServer } from "../../src/server/index.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
let registry: RegistryServer | undefined;
let resolver: ResolverClient | undefined;
let primary: ChildProcess | undefined;

beforeAll(() => {
  execFileSync("node", [".ci/ready.mjs"], { cwd: ROOT });
});
afterAll(async () => {
  primary?.disconnect();
  await resolver?.close();
  await registry?.close();
});

describe("asWorker", () => {
  it("numbers the workers of a cluster, and nobody else", () => {
    const instance = defineInstance({ service: "orders", host: "10.0.0.1", port: 3_000 });
    assert.equal(asWorker(instance, 4).id, "orders@10.0.0.1:3000#4");
    assert.equal(asWorker(instance, undefined).id, "orders@10.0.0.1:3000");
  });
});

describe("the workers of a cluster", () => {
  it("are four instances at one address; one that is killed leaves after its ttl, one that ends at once, and no call fails", async () => {
    registry = createRegistryServer({ port: 0 });
    const url = await registry.listen();
    const { workers, exited } = await startCluster(url);
    assert.equal(new Set(workers.map(({ id }) => id.replace(/#\d+$/, ""))).size, 1, "one address");
    resolver = createResolver({ registry: url, tryTimeoutMs: 1_000 }); // a socket handed to the killed one is lost
    const orders = resolver.service("orders");
    await orders.ready();
    assert.deepEqual(idsOf(orders.instances()), idsOf(workers));

    const calls = endless(async () => {
      const response = await orders.request("/");
      await response.body.dump();
      assert.equal(response.statusCode, 200);
    });
    await pass(200);
    const [killed, ended, ...others] = workers as [Worker, Worker, ...Worker[]];
    process.kill(killed.pid, "SIGKILL");
    await until(() => exited.get(killed.pid) === "SIGKILL");
    await pass(500);
    assert.equal(orders.instances().length, 4, "until its ttl is over");
    await until(() => orders.instances().length === 3);
    assert.deepEqual(idsOf(orders.instances()), idsOf([ended, ...others]));

    process.kill(ended.pid, "SIGTERM");
    await until(() => orders.instances().length === 2);
    await until(() => exited.get(ended.pid) === 0);
    assert.deepEqual(idsOf(orders.instances()), idsOf(others));
    const { count, failures } = await calls.end();
    assert.deepEqual(failures, []);
    assert.ok(count > 50, `${count} calls`);
  }, 60_000);
});

interface Worker {
  readonly id: string;
  readonly pid: number;
}

async function startCluster(url: string) {
  const workers: Worker[] = [];
  const exited = new Map<number, unknown>();
  const script = fileURLToPath(new URL("cluster-process.mjs", import.meta.url));
  primary = fork(script, [url], { execArgv: [], stdio: ["ignore", "inherit", "inherit", "ipc"] });
  primary.on("message", (message: { pid: number; id?: string; exit?: unknown }) => {
    if (message.id !== undefined) workers.push({ id: message.id, pid: message.pid });
    else exited.set(message.pid, message.exit);
  });
  await until(() => workers.length === 4);
  return { workers, exited };
}

/** Calls at a constant pace, whatever becomes of them, until it is ended. */
function endless(call: () => Promise<void>) {
  const failures: string[] = [];
  const sent: Promise<unknown>[] = [];
  const timer = setInterval(() => sent.push(call().catch((error: unknown) => failures.push(String(error)))), 10);
  const end = async () => {
    clearInterval(timer);
    await Promise.all(sent);
    return { count: sent.length, failures };
  };
  return { end };
}

function idsOf(instances: readonly { readonly id: string }[]): string[] {
  return instances.map(({ id }) => id).sort();
}

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 20) {
    if (waited > 20_000) throw new Error("It did not come to pass within 20 s");
    await pass(20);
  }
}
