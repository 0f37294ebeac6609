// The npm package `nacos`: Nacos' HTTP API v1. It asks to be told of changes by UDP, which 2.x still sends, and polls
// every ten seconds besides; it answers from memory.
import { HOST, METADATA, quiet, rival } from "./rivals.mjs";

const { NacosNamingClient } = rival("nacos");

async function clientAt(url) {
  const client = new NacosNamingClient({ logger: quiet, serverList: new URL(url).host, namespace: "public" });
  client.on("error", () => {});
  await client.ready();
  return client;
}

export async function consumer(url) {
  const client = await clientAt(url);
  const ask = async (service) => portsOf(await client.getAllInstances(service));
  return {
    ask,
    again: ask,
    subscribe: async (service, heard) => client.subscribe(service, (hosts) => heard(portsOf(hosts))),
    close: async () => client._close(), // the public close() waits for a reader that may be gone
  };
}

export async function provider(url) {
  const client = await clientAt(url);
  return {
    async register(service, port) {
      const instance = { ip: HOST, port, metadata: METADATA };
      await client.registerInstance(service, instance);
      return () => client.deregisterInstance(service, instance);
    },
    close: async () => client._close(),
  };
}

function portsOf(hosts) {
  return hosts.map(({ port }) => port);
}
