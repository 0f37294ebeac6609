// What a call costs this process: CPU µs, 64 and 1 in flight, four backends with canned replies in another process.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Agent, request } from "undici";
import { createResolver, staticRegistry } from "../../dist/index.js";

export const unit = "client CPU µs a request";
export const reference = "Agent.request, round robin by hand";
const PATH = "/v1/orders/42";

export const contestants = {
  [reference]: () =>
    against((ports) => {
      const agent = new Agent({ connections: 128 });
      const origins = ports.map((port) => `http://127.0.0.1:${port}`);
      let next = 0;
      return () => {
        const origin = origins[next];
        if (++next === origins.length) next = 0;
        return agent.request({ origin, path: PATH, method: "GET" });
      };
    }),
  "resolver.dispatcher()": () =>
    against((ports) => {
      const dispatcher = resolverOver(ports).dispatcher();
      return () => dispatcher.request({ origin: "http://orders", path: PATH, method: "GET" });
    }),
  "an Agent with resolver.interceptor()": () =>
    against((ports) => {
      const agent = new Agent({ connections: 128 }).compose(resolverOver(ports).interceptor());
      return () => agent.request({ origin: "http://orders", path: PATH, method: "GET" });
    }),
  "orders.request()": () =>
    against((ports) => {
      const orders = resolverOver(ports).service("orders");
      return () => orders.request(PATH);
    }),
  "undici.request(url), one agent": () =>
    against((ports) => {
      const dispatcher = new Agent({ connections: 128 });
      let next = 0;
      return () => request(`http://127.0.0.1:${ports[next++ % ports.length]}${PATH}`, { dispatcher });
    }),
};

function resolverOver(ports) {
  return createResolver({
    registry: staticRegistry(ports.map((port) => ({ service: "orders", host: "127.0.0.1", port }))),
  });
}

async function against(make) {
  const child = fork(fileURLToPath(new URL("./backends-process.mjs", import.meta.url)), [], { execArgv: [] });
  const ports = await new Promise((resolve) => child.once("message", resolve));
  const call = make(ports);
  await load(call, 64, 10_000);
  const result = {
    "64 in flight": await cpuOf(() => load(call, 64, 40_000), 40_000),
    "1 in flight": await cpuOf(() => load(call, 1, 6_000), 6_000),
  };
  child.kill();
  return result;
}

async function cpuOf(task, count) {
  const before = process.cpuUsage();
  await task();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

async function load(call, inFlight, count) {
  let left = count;
  const lane = async () => {
    while (left-- > 0) {
      const { body } = await call();
      await body.dump();
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}
