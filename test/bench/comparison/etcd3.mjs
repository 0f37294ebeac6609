// The npm package `etcd3`: gRPC. A list is a range read, a subscription a list and a watch; one lease for the process.
import { HOST, METADATA, rival, TTL_S } from "./rivals.mjs";

const { Etcd3 } = rival("etcd3");

export async function consumer(url) {
  const client = new Etcd3({ hosts: url });
  const ask = async (service) => Object.values(await client.getAll().prefix(prefixOf(service)).strings()).map(portIn);
  return {
    ask,
    again: ask,
    async subscribe(service, heard) {
      const known = new Map();
      const watcher = await client.watch().prefix(prefixOf(service)).create();
      watcher.on("put", ({ key, value }) => {
        known.set(String(key), portIn(String(value)));
        heard([...known.values()]);
      });
      watcher.on("delete", ({ key }) => {
        known.delete(String(key));
        heard([...known.values()]);
      });
      const listed = await client.getAll().prefix(prefixOf(service)).strings();
      for (const [key, value] of Object.entries(listed)) known.set(key, portIn(value));
      heard([...known.values()]);
    },
    close: async () => client.close(),
  };
}

export async function provider(url) {
  const client = new Etcd3({ hosts: url });
  const lease = client.lease(TTL_S);
  lease.on("lost", () => {});
  await lease.grant();
  return {
    async register(service, port) {
      const key = `${prefixOf(service)}${port}`;
      await lease.put(key).value(JSON.stringify({ service, host: HOST, port, metadata: METADATA }));
      return () => client.delete().key(key).exec();
    },
    async close() {
      await lease.revoke().catch(() => {});
      client.close();
    },
  };
}

function prefixOf(service) {
  return `services/${service}/`;
}

function portIn(value) {
  return JSON.parse(value).port;
}
