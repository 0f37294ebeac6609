import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createAgent } from "../../index.js";
import { interrupted } from "../interrupted.js";
import type { ProviderReady } from "./messages.js";

/** Short, so that the registry too forgets a killed provider while the demo runs. */
const TTL_MS = 6_000;

const [registry = "", work = "5"] = process.argv.slice(2);
const server = createServer((_request, response) => {
  const until = performance.now() + Number(work) * Math.random() * 0.2; // a little of this machine's time
  while (performance.now() < until);
  response.setHeader("x-instance", agent.instance?.id ?? "");
  response.end("ok");
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

const { port } = server.address() as AddressInfo;
const agent = createAgent({ registry, service: "orders", port, ttlMs: TTL_MS, metadata: { pid: String(process.pid) } });
await agent.start();
process.send?.({ type: "ready", id: agent.instance?.id ?? "" } satisfies ProviderReady);

await interrupted();
await agent.stop();
server.close();
server.closeAllConnections();
