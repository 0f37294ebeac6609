// Registries, and how one speaks to them: npm run bench -- comparison [--only=consul,etcd] [--rounds=3] [--write]
// Each registry through this library, and through the client people use today; --write renews docs/comparison.md.
import { execFileSync, fork } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { writePage } from "./comparison/page.mjs";
import { SERVERS } from "./comparison/servers.mjs";
import { summaryOf, tablesOf } from "./comparison/tables.mjs";

const RIVALS = { embedded: "fetch", etcd: "etcd3", consul: "consul", nacos: "nacos", eureka: "eureka-js-client" };
const INSTANCES = 100;
/** News that takes seconds is waited for all at once: so many, begun at moments spread over so long. */
const SLOW = { nacos: { times: 24, spreadMs: 12_000 }, eureka: { times: 12, spreadMs: 30_000 } };
/** Consul takes longer for each registration, the more its agent has. */
const REGISTRATIONS = { consul: 200, other: 1_000 };
const { values } = parseArgs({
  options: { only: { type: "string" }, rounds: { type: "string", default: "3" }, write: { type: "boolean" } },
  allowPositionals: true,
  strict: false,
});
const ROUNDS = Number(values.rounds);

/** Plays all registries, one after the other, and shows the tables; or writes them into the page. */
export async function print() {
  install();
  const figures = {};
  for (const name of values.only?.split(",") ?? Object.keys(SERVERS)) figures[name] = await play(name);
  for (const table of Object.values(tablesOf(figures))) console.log(`\n${table}`);
  if (values.write) writePage(figures, ROUNDS);
}

/** The clients are no dependencies of this project: they are fetched when they are first measured. */
function install() {
  const folder = fileURLToPath(new URL("./comparison/", import.meta.url));
  if (existsSync(`${folder}node_modules/.package-lock.json`)) return;
  console.error("Installing the clients to compare with (npm ci in test/bench/comparison) …");
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  execFileSync("npm", args, { cwd: folder, stdio: ["ignore", 2, 2] });
}

async function play(name) {
  const began = performance.now();
  const server = await SERVERS[name]();
  const running = [];
  try {
    const contestants = { ours: "ours", theirs: RIVALS[name] };
    const samples = {};
    for (const [side, client] of Object.entries(contestants)) {
      const start = async () => {
        const contestant = await startContestant(client, name, server.url);
        running.push(contestant);
        return contestant;
      };
      const service = `orders-${side}`;
      const providers = await start();
      await providers.measure("provided", { service, instances: INSTANCES });
      samples[side] = { measure: (await start()).measure, service, cold: [], warm: [], notified: [], registered: [] };
    }
    await rounds(name, samples);
    console.error(`${name} ${server.version}: ${Math.round((performance.now() - began) / 1_000)} s`);
    const about = { version: server.version, rival: RIVALS[name], rivalVersion: versionOf(RIVALS[name]) };
    return { ...about, ours: summaryOf(samples.ours), theirs: summaryOf(samples.theirs) };
  } finally {
    for (const { stop } of running) stop();
    await server.stop();
  }
}

async function rounds(name, samples) {
  const both = Object.values(samples);
  const asked = ({ service }) => ({ service, instances: INSTANCES });
  await Promise.all(both.map((side) => side.measure("listed", asked(side))));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const side of both) {
      const cold = await side.measure("cold", { ...asked(side), times: 40 });
      const warm = await side.measure("warm", { ...asked(side), times: 200 });
      if (round === 0) continue; // the code gets warm
      side.cold.push(...cold);
      side.warm.push(...warm);
    }
  }
  const apart = { times: 34, apartMs: 200 };
  const slow = SLOW[name];
  const tell = async (side, round) => {
    const options = { service: `told-${round}-${side.service}`, ...(slow ?? apart) };
    side.notified.push(...(await side.measure(slow ? "notifiedSlowly" : "notified", options)));
  };
  if (slow) await Promise.all(both.map((side) => tell(side, 1)));
  else for (let round = 1; round <= ROUNDS; round++) for (const side of both) await tell(side, round);
  const times = REGISTRATIONS[name] ?? REGISTRATIONS.other;
  for (let round = 0; round <= ROUNDS; round++) {
    for (const side of both) {
      const options = { service: `many-${round}-${side.service}`, times, inFlight: 32 };
      const result = await side.measure("registered", options);
      if (round > 0) side.registered.push(result);
    }
  }
}

/** A contestant in a process of its own, which measures one thing at a time. */
async function startContestant(client, registry, url) {
  const path = fileURLToPath(new URL("./comparison/contestant-process.mjs", import.meta.url));
  const child = fork(path, [client, registry, url], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const answer = () =>
    new Promise((resolve, reject) => {
      const gone = (code) => reject(new Error(`${client} at ${registry} ended with ${code}`));
      child.once("exit", gone);
      child.once("message", ({ result, error }) => {
        child.off("exit", gone);
        if (error) reject(new Error(`${client} at ${registry}: ${error}`));
        else resolve(result);
      });
    });
  await answer();
  const measure = (...what) => {
    const answered = answer();
    child.send(what);
    return answered;
  };
  return { measure, stop: () => child.kill() };
}

function versionOf(client) {
  const path = new URL(`./comparison/node_modules/${client}/package.json`, import.meta.url);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).version : undefined;
}
