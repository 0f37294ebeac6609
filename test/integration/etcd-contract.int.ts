import { afterAll, beforeAll, describe, it } from "vitest";
import { etcd } from "../../src/adapters/etcd.js";
import { systemClock } from "../../src/runtime/clock.js";
import { type ContractSubject, registryContract } from "../../src/testing/index.js";
import { contractOn, inRealTime } from "../registries/contract.js";
import { type RunningRegistry, startRegistry, whyMissing } from "../registries/start.js";

const missing = await whyMissing("etcd.sh");

const TIMES = { ttlMs: 3_000, precisionMs: 700 }; // with the half second that etcd takes to end a lease

describe.skipIf(missing)("the registry contract, through a real etcd", () => {
  contractOn({
    has: {},
    times: TIMES,
    start: (port) => startRegistry("etcd.sh", ["--port", String(port)]),
    adapter: (endpoints) => etcd({ endpoints }),
    spoil: (url, service) => {
      const key = Buffer.from(`/mcp-discovery/services/${service}/instances/spoilt/1`).toString("base64");
      return fetch(`${url}/v3/kv/put`, { method: "POST", body: JSON.stringify({ key, value: "e30=" }) });
    },
    refusals: {
      forbid: { status: 403, text: '{"code":7,"message":"etcdserver: permission denied"}' },
      overload: { status: 429, text: '{"code":8,"message":"etcdserver: too many requests"}' },
    },
  });
});

describe.skipIf(missing)("the registry contract, through an etcd of three members that loses its leader", () => {
  let server: RunningRegistry;
  let cases = 0;
  beforeAll(async () => {
    server = await startRegistry("etcd.sh", ["--cluster", "3"]);
  });
  afterAll(() => server?.stop());

  for (const { name, run } of registryContract(onCluster)) it(name, run);

  /** In the fifth case, and in all after it, the leader is gone. */
  async function onCluster(): Promise<ContractSubject> {
    const endpoints = server.info["endpoints"]?.[0]?.split(",") ?? [];
    if (++cases === 5) await killLeader(server);
    return inRealTime(etcd({ endpoints }), `cluster-${cases}`, TIMES);
  }
});

/** Resolves when the others have a leader: until then there are only outages, which other tests are about. */
async function killLeader(server: RunningRegistry): Promise<void> {
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
