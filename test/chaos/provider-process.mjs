// A provider: an HTTP server with an agent, until it is killed. Arguments: registry URL, port (0: any).
import { once } from "node:events";
import { createServer } from "node:http";
import { createAgent } from "../../dist/index.js";

const [registry, wanted = "0"] = process.argv.slice(2);
const server = createServer((request, response) => {
  request.resume();
  request.once("end", () => response.end(agent.instance.id));
});
server.listen(Number(wanted), "127.0.0.1");
await once(server, "listening");

const { port } = server.address();
const agent = createAgent({ registry, service: "orders", port, ttlMs: 6_000 });
await agent.start();
process.send({ id: agent.instance.id, port });
process.once("disconnect", () => process.exit());
