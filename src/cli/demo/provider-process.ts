import { createServer } from "node:http";
import { createAgent } from "../../index.js";
import type { ProviderReady } from "./messages.js";

/** Short, so that the registry too forgets a killed provider while the demo runs. */
const TTL_MS = 6_000;

const [registry = "", port = "0", work = "5"] = process.argv.slice(2);
const server = createServer((_request, response) => {
  const until = performance.now() + Number(work) * Math.random() * 0.2; // a little of this machine's time
  while (performance.now() < until);
  response.setHeader("x-instance", agent.instance?.id ?? "");
  response.end("ok");
});
const agent = createAgent({ registry, service: "orders", ttlMs: TTL_MS, metadata: { pid: String(process.pid) } });
agent.once("registered", ({ lease: { instance } }) => {
  process.send?.({ type: "ready", id: instance.id, port: instance.port } satisfies ProviderReady);
});
agent.once("stopped", () => {
  if (process.connected) process.disconnect(); // the last thing that holds this process
});
process.once("disconnect", () => void agent.stop());
agent.attach(server); // registers when it listens; on SIGTERM it leaves without losing a call
server.listen(Number(port), "127.0.0.1");
