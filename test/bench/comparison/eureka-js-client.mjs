// The npm package `eureka-js-client`, with the settings its documentation gives for Spring Cloud's server. It fetches the
// whole registry every 30 s (its delta, which it calls experimental, is off by default) and answers from memory.
import { promisify } from "node:util";
import { HOST, METADATA, quiet, rival, TTL_S } from "./rivals.mjs";

const { Eureka } = rival("eureka-js-client");

function eurekaAt(url, instance, options) {
  const { hostname: host, port } = new URL(url);
  const eureka = { host, port: Number(port), servicePath: "/eureka/apps/", ...options };
  return new Eureka({ cwd: import.meta.dirname, logger: quiet, instance, eureka });
}

export async function consumer(url) {
  const client = eurekaAt(url, {}, { registerWithEureka: false });
  let started;
  const start = () => (started ??= promisify(client.start.bind(client))());
  const again = (service) => client.getInstancesByAppId(service).map(({ port }) => port.$);
  return {
    async ask(service) {
      await start();
      return again(service);
    },
    again,
    async subscribe(service, heard) {
      client.on("registryUpdated", () => heard(again(service)));
      await start();
    },
    close: promisify(client.stop.bind(client)),
  };
}

export async function provider(url) {
  return {
    async register(service, port) {
      const about = {
        app: service,
        instanceId: `${HOST}:${service}:${port}`,
        hostName: HOST,
        ipAddr: HOST,
        statusPageUrl: `http://${HOST}:${port}/info`,
        port: { $: port, "@enabled": "true" },
        vipAddress: service,
        dataCenterInfo: { "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", name: "MyOwn" },
        leaseInfo: { renewalIntervalInSecs: TTL_S / 3, durationInSecs: TTL_S },
        metadata: METADATA,
      };
      const client = eurekaAt(url, about, { fetchRegistry: false, heartbeatInterval: (TTL_S * 1_000) / 3 });
      await promisify(client.start.bind(client))();
      return promisify(client.stop.bind(client));
    },
    close: async () => {},
  };
}
