import { describe } from "vitest";
import { consul } from "../../src/adapters/consul.js";
import { contractOn } from "../registries/contract.js";
import { startRegistry, whyMissing } from "../registries/start.js";

const missing = await whyMissing("consul.sh");

describe.skipIf(missing)("the registry contract, through a real Consul", () => {
  contractOn({
    has: { reasons: false, epoch: false, absence: false, endsLeases: false },
    times: { ttlMs: 3_000, precisionMs: 700 }, // Consul's own delay of spreading a failure included
    start: (port) => startRegistry("consul.sh", ["--port", String(port)]),
    adapter: (url) => consul({ url }),
    spoil: (url, service) => {
      const body = JSON.stringify({ ID: `${service}-spoilt`, Name: service, Port: 70_000 });
      return fetch(`${url}/v1/agent/service/register`, { method: "PUT", body });
    },
    refusals: {
      forbid: { status: 403, text: "Permission denied" },
      overload: { status: 429, text: "Your IP is issuing too many concurrent connections" },
    },
  });
});
