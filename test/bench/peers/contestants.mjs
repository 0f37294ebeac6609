// What others on npm take for a pick, without their network: npm run bench -- pick --peers
// Their packages are installed into this folder on demand; nothing of the library depends on them.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const packages = createRequire(import.meta.url);

/** False, after saying so, if the packages are not there and cannot be had. */
export function installed() {
  if (existsSync(`${FOLDER}node_modules/moleculer`)) return true;
  try {
    const npm = process.platform === "win32" ? "npm.cmd" : "npm";
    execFileSync(npm, ["install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"], {
      cwd: FOLDER,
      stdio: "ignore",
      timeout: 120_000,
    });
    return true;
  } catch (error) {
    console.error(`The peers cannot be installed, so they do not take part: ${error.message}`);
    return false;
  }
}

/** Each makes what picks a member: `(members) => (key) => member`; `slowness` is how many times fewer picks will do; `most`, how many members it can take. */
export const PEERS = {
  "loadbalance, round robin": { make: (members) => plain(packages("loadbalance").roundRobin(members)) },
  "loadbalance, random": { make: (members) => plain(packages("loadbalance").random(members)) },
  "Moleculer, round robin": { make: (members) => moleculer("RoundRobin", members) },
  "Moleculer, cpu usage": { slowness: 10, make: (members) => moleculer("CpuUsage", members) },
  "Moleculer, shard, keys of 11, from its cache": {
    slowness: 1_000,
    keys: 11,
    make: (members) => moleculer("Shard", members),
  },
  "hashring, keys of 11, from its cache": { slowness: 10, keys: 11, make: (members) => hashRing(members, {}) },
  "hashring, keys of 11, without its cache": {
    slowness: 1_000,
    keys: 11,
    make: (members) => hashRing(members, { "max cache size": 1 }),
  },
  "consistent-hash, keys of 11": { slowness: 100, keys: 11, most: 1_000, make: consistentHash }, // it has no more points
};

function plain(engine) {
  return () => engine.pick();
}

/** Its strategies see a broker only for events. */
function moleculer(name, members) {
  const Strategy = packages("moleculer").Strategies[name];
  const endpoints = members.map(({ host }, index) => ({ id: host, node: { cpu: 20 + (index % 60) } }));
  const strategy = new Strategy({}, { localBus: { on() {} } }, { shardKey: (key) => key });
  return (key) => strategy.select(endpoints, key);
}

function hashRing(members, options) {
  const HashRing = packages("hashring");
  const ring = new HashRing(
    members.map(({ host, port }) => `${host}:${port}`),
    "md5",
    options,
  );
  return (key) => ring.get(key);
}

function consistentHash(members) {
  const ConsistentHash = packages("consistent-hash");
  const ring = new ConsistentHash();
  for (const { host, port } of members) ring.add(`${host}:${port}`);
  return (key) => ring.get(key);
}
