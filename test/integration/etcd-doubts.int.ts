import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { beforeAll, describe, it } from "vitest";
import { etcd } from "../../src/adapters/etcd.js";
import { DiscoveryError, defineInstance, type Lease, type Registry } from "../../src/index.js";
import { startBackend } from "../fakes/backend.js";
import { opened } from "../opened.js";
import { type RunningRegistry, startRegistry, whyMissing } from "../registries/start.js";

const missing = await whyMissing("etcd.sh");
const { signal } = new AbortController();
let server: RunningRegistry;

describe.skipIf(missing)("registrations of which it is not known whether they stand, on a real etcd", () => {
  beforeAll(async () => {
    server = await startRegistry("etcd.sh");
    return () => server.stop();
  });

  it("are taken out by the next beat of their lease if they were entered after their caller had given up", async () => {
    const { registry, hold } = await start();
    const lease = await enter(registry, "given-up", 1);
    const halt = new AbortController();
    const held = hold("before it is passed on");
    const late = enter(registry, "given-up", 2, halt.signal);
    const pass = await held;
    halt.abort(new Error("enough"));
    await assert.rejects(late, /enough/);
    await registry.renew([{ lease }], { signal }); // nothing is there yet
    await pass();
    assert.deepEqual(await ports(registry, "given-up"), [1, 2]);
    await registry.renew([{ lease }], { signal });
    assert.deepEqual(await ports(registry, "given-up"), [1]);
  });

  it("are left alone by a beat of their lease while their answer is on its way", async () => {
    const { registry, hold } = await start();
    const lease = await enter(registry, "under-way", 1);
    const held = hold("before it is answered");
    const second = enter(registry, "under-way", 2);
    const pass = await held;
    await registry.renew([{ lease }], { signal });
    await pass();
    const leases = [lease, await second].map((each) => ({ lease: each }));
    assert.deepEqual((await registry.renew(leases, { signal })).unknown, []);
    assert.deepEqual(await ports(registry, "under-way"), [1, 2]);
  });

  it("fail no beat of others, be it that they can neither be entered nor taken out", async () => {
    const { registry, forbid } = await start();
    const lease = await enter(registry, "allowed", 1);
    forbid("forbidden");
    await assert.rejects(enter(registry, "forbidden", 2), (error) => DiscoveryError.is(error, "UNAUTHORIZED"));
    assert.deepEqual((await registry.renew([{ lease }], { signal })).unknown, []);
  });

  it("are taken out as well if they were entered and only the epoch could not be told", async () => {
    const { registry, forget } = await start("/fresh/");
    forget("epoch");
    await assert.rejects(enter(registry, "first", 1), (error) => DiscoveryError.is(error, "UNAVAILABLE"));
    assert.deepEqual(await ports(registry, "first"), [1]);
    const lease = await enter(registry, "first", 2);
    await registry.renew([{ lease }], { signal });
    assert.deepEqual(await ports(registry, "first"), [2]);
  });
});

/** Stands before etcd, and keeps a registration from it, or its answer. */
async function start(prefix = "/mcp-discovery/") {
  let [forbidden, forgotten] = ["", ""];
  let held: Hold | undefined;
  const backend = await startBackend(async (request, response) => {
    const body = await text(request);
    const keys = [...body.matchAll(/"key":"([^"]+)"/g)].map(([, key = ""]) => Buffer.from(key, "base64").toString());
    if (forbidden !== "" && keys.some((key) => key.includes(`/services/${forbidden}/`))) {
      return void response.writeHead(403).end('{"code":7,"message":"etcdserver: permission denied"}');
    }
    if (forgotten !== "" && body.includes("request_put") && keys.every((key) => key === prefix + forgotten)) {
      forgotten = "";
      return void response.destroy();
    }
    const hold = body.includes("request_put") && body.includes('"lease"') ? held : undefined;
    if (hold) held = undefined;
    const wait = (when: string) => hold?.when === when && new Promise<void>((pass) => hold.reached(pass));
    await wait("before it is passed on");
    const answer = await fetch(`${server.url}${request.url}`, { method: "POST", body });
    const told = await answer.text();
    await wait("before it is answered");
    response.writeHead(answer.status).end(told);
    hold?.done();
  });
  const registry = etcd({ endpoints: `http://127.0.0.1:${backend.port}`, prefix });
  opened.push(backend, registry);
  return {
    registry,
    /** Resolves when the next registration is held; with what lets it pass. */
    hold: (when: Hold["when"]) =>
      new Promise<() => Promise<void>>((resolve) => {
        const passed = new Promise<void>((done) => {
          const reached = (pass: () => void): void =>
            resolve(() => {
              pass();
              return passed;
            });
          held = { when, reached, done };
        });
      }),
    forbid: (service: string) => {
      forbidden = service;
    },
    forget: (word: string) => {
      forgotten = word;
    },
  };
}

interface Hold {
  readonly when: "before it is passed on" | "before it is answered";
  reached(pass: () => void): void;
  done(): void;
}

function enter(registry: Registry, service: string, port: number, until = signal): Promise<Lease> {
  const instance = defineInstance({ service, host: "127.0.0.1", port });
  return registry.register(instance, { ttlMs: 60_000, signal: until });
}

async function ports(registry: Registry, service: string): Promise<readonly number[]> {
  const update = await registry.list(service, { signal });
  return update.type === "reset" ? update.instances.map(({ port }) => port) : [];
}
