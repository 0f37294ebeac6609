// Starts a registry in a process of its own and measures its CPU per request while this process asks.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Pool } from "undici";

/** The spec's registration, each time of another instance. */
export function registration(index) {
  const host = `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
  return `{"service_name":"orders","host":"${host}","port":8080,"metadata":{"version":"v1.2","env":"prod"},"ttl":3600}`;
}

export async function start(kind) {
  const child = fork(fileURLToPath(new URL("./server-process.mjs", import.meta.url)), [kind], { execArgv: [] });
  const { url } = await new Promise((resolve) => child.once("message", resolve));
  const cpu = () =>
    new Promise((resolve) => {
      child.once("message", ({ cpu: { user, system } }) => resolve(user + system));
      child.send("cpu");
    });
  return { url, cpu, stop: () => child.kill() };
}

/** Server CPU µs per request, `inFlight` at a time, after as many that are not counted: V8 has compiled either server by then. */
export async function cpuPerRequest({ url, cpu }, inFlight, count, requestFor) {
  const pool = new Pool(url, { connections: 64 });
  let next = 0;
  const lane = async (until) => {
    while (next < until) {
      const { body } = await pool.request(requestFor(next++));
      await body.dump();
    }
  };
  await laneAll(count);
  const before = await cpu();
  await laneAll(count);
  const after = await cpu();
  await pool.destroy();
  return (after - before) / count;

  async function laneAll(size) {
    const until = next + size;
    await Promise.all(Array.from({ length: inFlight }, () => lane(until)));
  }
}
