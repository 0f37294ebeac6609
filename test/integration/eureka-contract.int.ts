import { describe } from "vitest";
import { eureka } from "../../src/adapters/eureka.js";
import { contractOn } from "../registries/contract.js";
import { startRegistry, whyMissing } from "../registries/start.js";

const missing = await whyMissing("eureka.sh");

describe.skipIf(missing)("the registry contract, through a real Eureka", () => {
  contractOn({
    has: { reasons: false, epoch: false, absence: false, fencing: false },
    times: {
      ttlMs: 4_000,
      precisionMs: 900, // Eureka's run of evictions every second included
      settleMs: 300, // the server makes its lists anew every 200 ms; its own default is 30 s
    },
    start: (port) => startRegistry("eureka.sh", ["--port", String(port)]),
    adapter: (url) => eureka({ url: `${url}/eureka`, pollMs: 100 }),
    spoil: (url, service) => {
      const app = service.toUpperCase();
      const dataCenterInfo = { "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", name: "MyOwn" };
      const address = { hostName: "h", ipAddr: "127.0.0.1", port: { $: 70_000, "@enabled": "true" } };
      const headers = { "content-type": "application/json" };
      const body = JSON.stringify({ instance: { instanceId: `${service}-spoilt`, app, ...address, dataCenterInfo } });
      return fetch(`${url}/eureka/apps/${app}`, { method: "POST", headers, body });
    },
    refusals: { forbid: { status: 403, text: "" }, overload: { status: 429, text: "" } },
  });
});
