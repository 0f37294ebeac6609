import { createServer } from "node:http";
import { createAgent } from "mcp-discovery";

const server = createServer((_request, response) => response.end(`hello from ${process.pid}\n`));
const agent = createAgent({ registry: "http://127.0.0.1:8761", service: "orders", metadata: { version: "v1.2" } });

agent.on("registered", ({ lease }) => console.log(`registered ${lease.instance.id}`));
agent.attach(server); // registers once it listens, stays registered, and on SIGTERM leaves without losing a call
server.listen(0, "127.0.0.1");
