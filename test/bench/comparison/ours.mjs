// This library, the same for every registry: agents that register and beat, a resolver that answers from memory.

import { consul } from "../../../dist/adapters/consul.js";
import { etcd } from "../../../dist/adapters/etcd.js";
import { eureka } from "../../../dist/adapters/eureka.js";
import { http } from "../../../dist/adapters/http.js";
import { nacos } from "../../../dist/adapters/nacos.js";
import { createAgent, createResolver } from "../../../dist/index.js";
import { HOST, METADATA, TTL_S } from "./rivals.mjs";

const ADAPTERS = {
  embedded: (url) => http({ url }),
  consul: (url) => consul({ url }),
  etcd: (url) => etcd({ endpoints: url }),
  eureka: (url) => eureka({ url: `${url}/eureka` }),
  nacos: (url) => nacos({ url }),
};

export async function consumer(url, name) {
  const registry = ADAPTERS[name](url);
  const resolver = createResolver({ registry });
  return {
    ask: async (service) => portsOf(await resolver.service(service).ready()),
    again: (service) => portsOf(resolver.service(service).snapshot),
    async subscribe(service, heard) {
      const client = resolver.service(service);
      client.on("changed", ({ snapshot }) => heard(portsOf(snapshot)));
      client.resume();
    },
    async close() {
      await resolver.close();
      await registry.close();
    },
  };
}

export async function provider(url, name) {
  const registry = ADAPTERS[name](url);
  return {
    async register(service, port) {
      const about = { service, host: HOST, port, metadata: METADATA, ttlMs: TTL_S * 1_000, drainMs: 0 };
      const agent = createAgent({ registry, ...about });
      await agent.start();
      return () => agent.stop();
    },
    close: () => registry.close(),
  };
}

function portsOf({ instances }) {
  return instances.map(({ port }) => port);
}
