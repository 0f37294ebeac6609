import { createServer } from "node:http";
import { createAgent } from "../../index.js";
import { systemClock, systemRandom } from "../../runtime/clock.js";
import type { ProviderReady } from "./messages.js";
import { TTL_MS } from "./ttl.js";

const [registry = "", service = "", port = "0", work = "5"] = process.argv.slice(2);
const server = createServer((_request, response) => {
  const until = systemClock.now() + Number(work) * systemRandom() * 0.2; // a little of this machine's time
  while (systemClock.now() < until);
  response.setHeader("x-instance", agent.instance?.id ?? "");
  response.end("ok");
});
const agent = createAgent({ registry, service, ttlMs: TTL_MS, metadata: { pid: String(process.pid) } });
agent.on("registered", ({ lease }) => process.send?.({ type: "ready", lease } satisfies ProviderReady));
agent.once("stopped", () => {
  if (process.connected) process.disconnect(); // the last thing that holds this process
});
process.once("disconnect", () => void agent.stop());
agent.attach(server); // registers when it listens; on SIGTERM it leaves without losing a call
server.listen(Number(port), "127.0.0.1");
