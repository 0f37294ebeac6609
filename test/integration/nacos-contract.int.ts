import { describe } from "vitest";
import { nacos } from "../../src/adapters/nacos.js";
import { contractOn } from "../registries/contract.js";
import { nacosVersions } from "../registries/nacos.js";
import { whyMissing } from "../registries/start.js";

const missing = await whyMissing("nacos.sh");

/** Nacos looks for late beats every five seconds, and v3 takes five more. */
const PRECISION_MS = { "/v1/ns/instance": 6_000, "/v3/client/ns/instance": 11_000 };
/** Changes are merged for half a second before a list shows them (the most that was measured: 646 ms). */
const LAG_MS = 800;

/** Where v1 has ended names are listed for administrators alone, though nobody logs in, unless Nacos is told this. */
const OPEN = ["--nacos.core.auth.admin.enabled=false"];

const subjects = nacosVersions().flatMap((version) => [true, false].map((push) => ({ ...version, push })));
for (const { name, instances, start, push } of subjects) {
  describe.skipIf(missing)(`the registry contract, through a real Nacos ${name}, ${push ? "pushed" : "polled"}`, () => {
    const precisionMs = PRECISION_MS[instances];
    contractOn({
      has: { reasons: false, epoch: false, absence: false, fencing: false, conflicts: false, room: false },
      times: { ttlMs: precisionMs + 3_000, precisionMs, settleMs: LAG_MS },
      start: (port) => start(port, OPEN),
      adapter: (url, { port }) => nacos({ url, grpcPort: port + 1_000, intervalMs: 200, push }),
      spoil: (url, serviceName) => {
        const body = new URLSearchParams({ serviceName, ip: "127.0.0.1", port: "0" });
        return fetch(`${url}/nacos${instances}`, { method: "POST", body });
      },
      refusals: {
        forbid: { status: 403, text: "authorization failed!" },
        overload: { status: 503, text: "Tps Flow restricted:over limit" },
      },
    });
  });
}
