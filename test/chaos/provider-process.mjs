// A provider: an HTTP server with an agent, until it is killed. Arguments: registry URL, port (0: any).
import { createServer } from "node:http";
import { createAgent } from "../../dist/index.js";

const [registry, port = "0"] = process.argv.slice(2);
const server = createServer((request, response) => {
  request.resume();
  request.once("end", () => response.end(agent.instance.id));
});
server.listen(Number(port), "127.0.0.1", async () => {
  await agent.start();
  process.send({ id: agent.instance.id, port: server.address().port });
});
await new Promise((resolve) => server.once("listening", resolve));
const agent = createAgent({ registry, service: "orders", port: server.address().port, ttlMs: 6_000 });
process.once("disconnect", () => process.exit());
