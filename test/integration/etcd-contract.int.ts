import { afterAll, beforeAll, describe, it } from "vitest";
import { etcd } from "../../src/adapters/etcd.js";
import { systemClock } from "../../src/runtime/clock.js";
import { type ContractSubject, registryContract } from "../../src/testing/index.js";
import { type FaultProxy, startFaultProxy } from "../fakes/fault-proxy.js";
import { type RunningRegistry, startRegistry, whyMissing } from "../registries/start.js";

const missing = await whyMissing("etcd.sh");

/** A real pause is this exact, in milliseconds, with the half second that etcd takes to end a lease. */
const PRECISION_MS = 700;

let server: RunningRegistry;
let proxy: FaultProxy;
let cases = 0;

describe.skipIf(missing)("the registry contract, through a real etcd", () => {
  beforeAll(async () => {
    server = await startRegistry("etcd.sh");
    proxy = await startFaultProxy(server.url);
  });
  afterAll(async () => {
    await proxy?.close();
    await server?.stop();
  });

  const faults = ["restart", "spoil", "truncate", "silence", "forbid", "overload"] as const;
  for (const { name, run } of registryContract(onEtcd, { faults })) it(name, run);
});

describe.skipIf(missing)("the registry contract, through an etcd of three members that loses its leader", () => {
  beforeAll(async () => {
    cases = 100;
    server = await startRegistry("etcd.sh", ["--cluster", "3"]);
  });
  afterAll(() => server?.stop());

  for (const { name, run } of registryContract(onCluster)) it(name, run);
});

/** In the fifth case, and in all after it, the leader is gone. */
async function onCluster(): Promise<ContractSubject> {
  const endpoints = server.info["endpoints"]?.[0]?.split(",") ?? [];
  const registry = etcd({ endpoints });
  const service = `cluster-${++cases}`;
  if (cases % 100 === 5) await killLeader();
  return {
    registry,
    service,
    ttlMs: 3_000,
    precisionMs: PRECISION_MS,
    advance: (ms) => systemClock.sleep(ms),
    close: () => registry.close(),
  };
}

/** Resolves when the others have a leader: until then there are only outages, which other tests are about. */
async function killLeader(): Promise<void> {
  const members = (server.info["node"] ?? []).map((node) => node.split(" "));
  const old = await leaderOf(members[0]?.[1]);
  for (const [, url, pid] of members) if ((await leaderOf(url, true)) === old) process.kill(Number(pid), "SIGKILL");
  const alive = members[(await leaderOf(members[0]?.[1], true)) === undefined ? 1 : 0]?.[1];
  for (let now: string | undefined = old; now === undefined || now === old; now = await leaderOf(alive)) {
    await systemClock.sleep(50);
  }
}

/** Who leads, as a member knows, or who that member is; undefined if it is gone, or nobody leads. */
async function leaderOf(url = "", itself = false): Promise<string | undefined> {
  try {
    const answer = await fetch(`${url}/v3/maintenance/status`, { method: "POST", body: "{}" });
    const { header, leader } = (await answer.json()) as { header: { member_id: string }; leader?: string };
    return itself ? header.member_id : leader;
  } catch {
    return undefined;
  }
}

async function onEtcd(): Promise<ContractSubject> {
  const registry = etcd({ endpoints: proxy.url });
  return {
    registry,
    service: `orders-${++cases}`,
    ttlMs: 3_000,
    precisionMs: PRECISION_MS,
    advance: (ms) => systemClock.sleep(ms),
    close: () => registry.close(),
    faults: {
      restart: async () => {
        await server.stop();
        server = await startRegistry("etcd.sh", ["--port", String(server.port)]);
      },
      spoil: async (service) => {
        const key = Buffer.from(`/mcp-discovery/services/${service}/instances/spoilt/1`).toString("base64");
        await fetch(`${server.url}/v3/kv/put`, { method: "POST", body: JSON.stringify({ key, value: "e30=" }) });
      },
      truncate: () => proxy.begin("truncate"),
      silence: () => proxy.begin("silence"),
      forbid: () => proxy.begin({ status: 403, text: '{"code":7,"message":"etcdserver: permission denied"}' }),
      overload: () => proxy.begin({ status: 429, text: '{"code":8,"message":"etcdserver: too many requests"}' }),
    },
  };
}
