// The npm package `consul`: it asks the agent each time, and watches by blocking queries. Beats are left to its user.
import { Agent } from "node:http";
import { HOST, METADATA, rival, TTL_S } from "./rivals.mjs";

const Consul = rival("consul");

function clientAt(url) {
  const { hostname: host, port } = new URL(url);
  const agent = new Agent({ keepAlive: true }); // one of its own, so that a new client's first question opens a connection
  return { consul: new Consul({ host, port: Number(port), agent }), agent };
}

export async function consumer(url) {
  const { consul, agent } = clientAt(url);
  const watches = [];
  const ask = async (service) => portsOf(await consul.health.service({ service, passing: true }));
  return {
    ask,
    again: ask,
    async subscribe(service, heard) {
      const watch = consul.watch({ method: consul.health.service, options: { service, passing: true } });
      watches.push(watch);
      watch.on("change", (entries) => heard(portsOf(entries)));
      watch.on("error", () => {});
    },
    async close() {
      for (const watch of watches) watch.end();
      agent.destroy();
    },
  };
}

export async function provider(url) {
  const { consul, agent } = clientAt(url);
  const ids = new Set();
  const beat = async () => {
    for (const id of ids) await consul.agent.check.pass(`service:${id}`).catch(() => {});
  };
  const beating = setInterval(beat, (TTL_S * 1_000) / 3);
  return {
    async register(service, port) {
      const id = `${service}-${port}`;
      const check = { ttl: `${TTL_S}s`, status: "passing", deregistercriticalserviceafter: "5m" };
      await consul.agent.service.register({ id, name: service, address: HOST, port, meta: METADATA, check });
      ids.add(id);
      return async () => {
        ids.delete(id);
        await consul.agent.service.deregister(id);
      };
    },
    async close() {
      clearInterval(beating);
      agent.destroy();
    },
  };
}

function portsOf(entries) {
  return entries.map(({ Service }) => Service.Port);
}
